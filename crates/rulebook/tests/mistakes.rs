//! What a person sees who made mistakes. The whole output is the product, so the whole output is compared.

use amends_rulebook::{SourceFile, load, render};

fn output(name: &str, text: &str) -> String {
    let root = SourceFile { path: name.to_owned(), text: text.into() };
    let loaded = load(root, &mut |_| Err("there is no such file".to_owned()));
    render(&loaded.diagnostics, &loaded.sources, false)
}

macro_rules! shown {
    ($name:literal) => {{
        let text = include_str!(concat!("data/mistakes/", $name, ".yaml"));
        let settings = insta::Settings::clone_current();
        settings.bind(|| {
            insta::with_settings!({ snapshot_path => "data/mistakes", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!($name, output(concat!($name, ".yaml"), text));
            });
        });
    }};
}

#[test]
fn ten_mistakes_are_shown_at_once() {
    shown!("ten");
}

#[test]
fn a_slip_in_one_section_hides_nothing_in_the_others() {
    shown!("broken-text");
}
