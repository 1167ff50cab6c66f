//! The JSON Schemas and the loader agree on the shape of rulebooks and manifests, both ways: what loads, the schema takes;
//! what the loader refuses for its shape, the schema refuses. On the corpus, and on a rulebook with every key in which
//! each value in turn is replaced by everything that people write by mistake.

use amends_rulebook::{Diagnostic, Severity, SourceFile, load};
use amends_workbench::{as_json, manifest_schema, rulebook_schema};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Kinds of mistake that are about the shape of the text.
const SHAPE: &[&str] = &[
    "unknown-key",
    "missing-key",
    "wrong-type",
    "invalid-word",
    "invalid-duration",
    "invalid-url",
    "invalid-number",
    "invalid-status",
    "invalid-name",
    "invalid-pattern",
];

/// These have the shape of something, and are wrong all the same: words of which one exists already.
const NOT_BY_SHAPE: &[&str] = &["invalid-name--taken"];

struct Schemas {
    rulebook: Validator,
    manifest: Validator,
}

impl Schemas {
    fn new() -> Self {
        let compile = |schema: &Value| {
            jsonschema::draft202012::meta::validate(schema).expect("a schema of its dialect");
            jsonschema::validator_for(schema).expect("a schema")
        };
        Self { rulebook: compile(&rulebook_schema()), manifest: compile(&manifest_schema()) }
    }

    fn of(&self, is_manifest: bool) -> &Validator {
        if is_manifest { &self.manifest } else { &self.rulebook }
    }

    /// What the schema of the file has against it.
    fn judge(&self, value: &Value, is_manifest: bool) -> Vec<String> {
        let schema = self.of(is_manifest);
        schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }
}

/// The files of a case of the corpus.
fn files(folder: &str) -> Vec<(String, Vec<SourceFile>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(folder);
    let paths =
        fs::read_dir(path).expect("the corpus is there").map(|e| e.expect("readable").path());
    let mut all: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    all.sort();
    let case = |path: std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        let mut parts = vec![(format!("{name}.yaml"), String::new())];
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("# file: ") {
                Some(file) => parts.push((file.trim().to_owned(), String::new())),
                None => parts.last_mut().expect("never empty").1.push_str(line),
            }
        }
        let source = |(path, text): (String, String)| SourceFile { path, text: text.into() };
        (name, parts.into_iter().map(source).collect())
    };
    all.into_iter().map(case).collect()
}

#[test]
fn the_schemas_take_the_right_ones_and_refuse_the_misshapen() {
    let schemas = Schemas::new();
    for (name, sources) in files("good") {
        for source in &sources {
            let value = as_json(&source.text).expect("YAML");
            let is_manifest = value.get("rulebook").is_none();
            assert_eq!(
                schemas.judge(&value, is_manifest),
                Vec::<String>::new(),
                "{name} {}",
                source.path
            );
        }
    }
    for (name, sources) in files("mistakes") {
        let expected = name.split("--").next().expect("a code");
        let Ok(value) = as_json(&sources[0].text) else { continue };
        let judged = schemas.judge(&value, value.get("service").is_some());
        if SHAPE.contains(&expected) && !NOT_BY_SHAPE.contains(&name.as_str()) {
            assert!(!judged.is_empty(), "{name} is taken");
        }
    }
}

/// Every key of the language once.
const EVERY_KEY: &str = include_str!("data/schema/every-key.yaml");
const MANIFEST: &str = include_str!("data/schema/every-key.manifest.yaml");

/// What people write by mistake, and other right values.
fn replacements() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(5),
        json!(204),
        json!(-1),
        json!(0.5),
        json!(100_000),
        json!(""),
        json!("x"),
        json!("two words"),
        json!("a.b"),
        json!("a..b"),
        json!("a/b"),
        json!("a/"),
        json!("a/b*"),
        json!("*/*"),
        json!("*/b"),
        json!("a/b c"),
        json!("5"),
        json!("0s"),
        json!("10s"),
        json!("10 s"),
        json!("10"),
        json!("0 attempts"),
        json!("3 attempts"),
        json!("0 per minute"),
        json!("7 per minute"),
        json!("none"),
        json!("retry"),
        json!("recorded"),
        json!("POST"),
        json!("2xx"),
        json!("1xx"),
        json!("404"),
        json!("http://a:80/b"),
        json!("http://"),
        json!("http://a?b"),
        json!("http://a:b"),
        json!("http://[::1]:80"),
        json!("ftp://a"),
        json!("/a"),
        json!([]),
        json!([null]),
        json!(["x"]),
        json!([5]),
        json!(["10s", "3 attempts"]),
        json!({}),
        json!({ "x": null }),
        json!({ "x": "y" }),
        json!({ "one_of": ["x"] }),
        json!({ "one_of": "x" }),
        json!({ "gte": "5" }),
        json!({ "compensate": "recorded" }),
    ]
}

/// The value with each place in turn replaced, renamed, left out and doubled.
fn changed(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut places = vec![String::new()];
    while let Some(place) = places.pop() {
        let here = value.pointer(&place).expect("there");
        let mut put = |what: String, new: Value| {
            let mut whole = value.clone();
            *whole.pointer_mut(&place).expect("there") = new;
            all.push((format!("{place} {what}"), whole));
        };
        if !place.is_empty() {
            for new in replacements() {
                put(format!("= {new}"), new);
            }
            put("as a list".to_owned(), json!([here]));
        }
        match here {
            Value::Object(entries) => {
                for key in entries.keys() {
                    let mut without = entries.clone();
                    let inner = without.remove(key).expect("there");
                    put(format!("without {key}"), Value::Object(without.clone()));
                    for name in
                        ["zzz", "two words", "a/b", "a/", "data.x", "data.a..b", "supervisor"]
                    {
                        let mut renamed = without.clone();
                        renamed.insert(name.to_owned(), inner.clone());
                        put(format!("{key} as {name}"), Value::Object(renamed));
                    }
                    let key = key.replace('~', "~0").replace('/', "~1");
                    places.push(format!("{place}/{key}"));
                }
            }
            Value::Array(items) => places.extend((0..items.len()).map(|n| format!("{place}/{n}"))),
            _ => {}
        }
    }
    all
}

fn errors(root: &Value, manifest: &Value) -> Vec<Diagnostic> {
    let source = SourceFile { path: "root.yaml".to_owned(), text: root.to_string().into() };
    let found = load(source, &mut |_| Ok(manifest.to_string())).diagnostics;
    found.into_iter().filter(|d| d.severity == Severity::Error).collect()
}

/// Compares the two on everything that can become of `value`; gives how many there were.
fn compare(value: &Value, is_manifest: bool, errors: impl Fn(&Value) -> Vec<Diagnostic>) -> usize {
    let schemas = Schemas::new();
    assert_eq!(errors(value), [], "it loads as it stands");
    let all = changed(value);
    let mut wrong = Vec::new();
    for (what, value) in &all {
        let found = errors(value);
        let fits = schemas.of(is_manifest).is_valid(value);
        let misshapen = found.iter().find(|d| SHAPE.contains(&d.code));
        if found.is_empty() && !fits {
            let judged = schemas.judge(value, is_manifest);
            wrong.push(format!("{what}\n    loads, and the schema says: {judged:?}"));
        } else if let Some(mistake) = misshapen.filter(|_| fits) {
            let (code, message) = (mistake.code, &mistake.message);
            wrong.push(format!(
                "{what}\n    fits the schema, and the loader says: {code}: {message}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), all.len(), wrong.join("\n"));
    all.len()
}

#[test]
fn the_loader_and_the_schema_agree_on_every_shape_of_a_rulebook() {
    let (root, manifest) = (as_json(EVERY_KEY).expect("YAML"), as_json(MANIFEST).expect("YAML"));
    let compared = compare(&root, false, |root| errors(root, &manifest));
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn the_loader_and_the_schema_agree_on_every_shape_of_a_manifest() {
    let (root, manifest) = (as_json(EVERY_KEY).expect("YAML"), as_json(MANIFEST).expect("YAML"));
    let compared = compare(&manifest, true, |manifest| errors(&root, manifest));
    assert!(compared > 900, "{compared}");
}

#[test]
fn every_key_of_the_schemas_stands_in_what_is_changed() {
    fn declared(schema: &Value, keys: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            keys.extend(properties.keys().cloned());
        }
        match schema {
            Value::Object(inner) => inner.values().for_each(|s| declared(s, keys)),
            Value::Array(inner) => inner.iter().for_each(|s| declared(s, keys)),
            _ => {}
        }
    }
    fn written(value: &Value, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(inner) => {
                keys.extend(inner.keys().cloned());
                inner.values().for_each(|v| written(v, keys));
            }
            Value::Array(inner) => inner.iter().for_each(|v| written(v, keys)),
            _ => {}
        }
    }
    let mut wanted = BTreeSet::new();
    declared(&rulebook_schema(), &mut wanted);
    declared(&manifest_schema(), &mut wanted);
    let mut there = BTreeSet::new();
    for text in [EVERY_KEY, MANIFEST] {
        written(&as_json(text).expect("YAML"), &mut there);
    }
    let missing: Vec<_> = wanted.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
