//! Rulebook files that change under a running supervisor.

use super::*;
use crate::clock::SystemClock;
use crate::outbound::{Outbound, Permit};
use crate::shell::{Driver, DriverOptions};
use amends_engine::{Effect, HistoryResult, StepReading, StepResult};
use amends_node::EffectResult;
use amends_store::{ActFilter, Archive, SqliteOptions, SqliteStore};
use tempfile::TempDir;

fn book(name: &str, service: &str, quiet: &str) -> String {
    format!(
        "rulebook: {name}\nsettle: {{ quiet: {quiet} }}\nservices:\n  {service}: {{ url: \"http://127.0.0.1:1\", actions: {{ do: {{ compensation: undo }} }} }}\nrules:\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    )
}

/// Nobody is there; these stories send nothing.
#[derive(Clone)]
struct Nobody;

impl Outbound for Nobody {
    async fn perform(&self, effect: Effect, _: Permit) -> EffectResult {
        match effect {
            Effect::ReadHistory(_) => EffectResult::History(HistoryResult::NoHistory),
            Effect::Send(_) => EffectResult::Step(StepResult::new(StepReading::NotSent, None)),
            Effect::Poll(_) => EffectResult::Step(StepResult::new(StepReading::NotSent, None)),
        }
    }
}

struct Shop {
    folder: TempDir,
    books: Books,
    supervisor: Supervisor<SqliteStore>,
    _store: TempDir,
}

impl Shop {
    async fn open() -> Self {
        let (folder, data) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let store = SqliteStore::open(data.path(), &SqliteOptions::default()).expect("a store");
        let started = Driver::start(store, Nobody, SystemClock, DriverOptions::default()).await;
        let (supervisor, _driver) = started.expect("a driver");
        let books = Books::new(folder.path().to_owned(), Rejections::default());
        Self { folder, books, supervisor, _store: data }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("a file");
    }

    async fn look(&mut self) -> Reload {
        self.books.reload(&self.supervisor, false).await
    }

    fn active(&self) -> Vec<String> {
        self.supervisor
            .active_books()
            .iter()
            .map(|b| format!("{} {}", b.name(), b.settings().quiet_ms))
            .collect()
    }
}

#[tokio::test]
async fn a_changed_file_becomes_active_and_an_unchanged_one_does_nothing() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.write("b.yml", &book("b", "ship", "1s"));
    shop.write("notes.txt", "not a rulebook");
    assert_eq!(shop.look().await.activated, ["a", "b"]);
    assert_eq!(shop.look().await, Reload::default());
    shop.write("a.yaml", &book("a", "pay", "22s"));
    assert_eq!(shop.look().await.activated, ["a"]);
    assert_eq!(shop.active(), ["a 22000", "b 1000"]);
    assert_eq!(
        shop.books.reload(&shop.supervisor, true).await,
        Reload::default(),
        "the same content is no news"
    );
}

#[tokio::test]
async fn a_file_with_mistakes_keeps_the_good_version_and_says_so() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.look().await;
    shop.write("a.yaml", &book("a", "pay", "soon").replace("rules:", "ruls:"));
    let reload = shop.look().await;
    assert_eq!(reload.activated, [""; 0]);
    assert!(
        reload.rejected.contains("soon") && reload.rejected.contains("ruls"),
        "{}",
        reload.rejected
    );
    assert_eq!(shop.active(), ["a 1000"]);
    let found = views(&shop.books.rejections, "a");
    assert!(
        found.len() >= 2 && found.iter().all(|d| d.file.ends_with("a.yaml") && d.line > 0),
        "{found:?}"
    );
    shop.write("a.yaml", &book("a", "pay", "3s"));
    assert_eq!(shop.look().await.activated, ["a"]);
    assert_eq!(views(&shop.books.rejections, "a"), []);
}

#[tokio::test]
async fn a_manifest_is_imported_and_its_change_is_noticed() {
    let mut shop = Shop::open().await;
    let manifest = |url: &str| {
        format!("service: sms\nurl: \"{url}\"\nactions: {{ send: {{ on_failure: retry }} }}\n")
    };
    shop.write("a.yaml", &format!("import: [sms.yaml]\n{}", book("a", "pay", "1s")));
    let reload = shop.look().await;
    assert!(reload.rejected.contains("sms.yaml"), "the import is missing: {reload:?}");
    shop.write("sms.yaml", &manifest("http://127.0.0.1:2"));
    assert_eq!(
        shop.look().await,
        Reload { activated: vec!["a".to_owned()], rejected: String::new() }
    );
    shop.write("sms.yaml", &manifest("http://127.0.0.1:33"));
    assert_eq!(shop.look().await.activated, ["a"]);
    let books = shop.supervisor.active_books();
    let sms = books[0].service("sms").expect("imported");
    assert_eq!(books[0].services()[sms.0 as usize].url.as_deref(), Some("http://127.0.0.1:33"));
}

#[tokio::test]
async fn two_rulebooks_cannot_claim_one_service_but_it_can_move() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.write("b.yaml", &book("b", "ship", "1s"));
    shop.look().await;
    shop.write("b.yaml", &book("b", "pay", "1s"));
    let reload = shop.look().await;
    assert!(reload.activated.is_empty() && reload.rejected.contains("`pay`"), "{reload:?}");
    // `b` takes over what `a` gives up, whichever is read first.
    shop.write("a.yaml", &book("a", "invoice", "1s"));
    shop.write("b.yaml", &book("b", "pay", "44s"));
    let mut activated = shop.look().await.activated;
    activated.sort();
    assert_eq!(activated, ["a", "b"]);
    assert_eq!(shop.active(), ["a 1000", "b 44000"]);
}

#[tokio::test]
async fn what_was_put_over_the_api_stays_until_the_file_changes() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.look().await;
    let put = Rulebook::from_yaml(&book("a", "pay", "7s")).expect("valid");
    shop.supervisor.activate(put, "ann", "over the API").await.expect("active");
    assert_eq!(shop.books.reload(&shop.supervisor, true).await, Reload::default());
    assert_eq!(shop.active(), ["a 7000"]);
    shop.write("a.yaml", &book("a", "pay", "11s"));
    shop.look().await;
    assert_eq!(shop.active(), ["a 11000"]);
}

#[tokio::test]
async fn a_missing_path_is_told_and_nothing_is_lost() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.look().await;
    std::fs::remove_dir_all(shop.folder.path()).expect("removed");
    assert!(shop.look().await.rejected.contains("cannot be read"));
    assert_eq!(shop.active(), ["a 1000"]);
    let error = load_path(Path::new("/does/not/exist")).expect_err("nothing there").to_string();
    assert!(error.contains("/does/not/exist") && error.contains("`rules`"), "{error}");
}

#[tokio::test]
async fn a_restart_never_undoes_a_rollback_and_a_reverted_file_is_taken() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.look().await;
    shop.write("a.yaml", &book("a", "pay", "22s"));
    shop.look().await;
    let first = Rulebook::from_yaml(&book("a", "pay", "1s")).expect("valid");
    shop.supervisor.activate(Arc::clone(&first), "ann", "a rollback").await.expect("active");
    assert!(shop.books.rejections.differs("a", first.hash()), "it is shown");
    // What a restart knows of the files is in the store.
    let seen = Rejections::default();
    shop.books = Books::new(shop.folder.path().to_owned(), seen.clone());
    assert_eq!(shop.look().await, Reload::default());
    assert_eq!(shop.active(), ["a 1000"]);
    assert!(seen.differs("a", first.hash()), "it is shown until it doesn't");
    let acts = || async {
        let page = amends_store::PageRequest::first(100);
        shop.supervisor
            .store()
            .acts(ActFilter::default(), page)
            .await
            .expect("readable")
            .items
            .len()
    };
    let before = acts().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.books.reload(&shop.supervisor, false).await;
    assert!(!seen.differs("a", first.hash()));
    assert_eq!(acts().await, before, "it was active already");
    shop.write("a.yaml", &book("a", "pay", "22s"));
    assert_eq!(shop.look().await.activated, ["a"], "the version that was rolled back before");
    assert_eq!(shop.active(), ["a 22000"]);
}

#[tokio::test]
async fn a_copy_under_another_name_takes_nothing_over() {
    let mut shop = Shop::open().await;
    shop.write("a.yaml", &book("a", "pay", "1s"));
    shop.look().await;
    shop.write("copy-of-a.yaml", &book("a", "pay", "22s"));
    shop.write("b.yaml", &book("b", "ship", "3s"));
    let reload = shop.look().await;
    assert_eq!(reload.activated, ["b"], "others are no part of the conflict");
    assert!(reload.rejected.contains("copy-of-a.yaml"), "{}", reload.rejected);
    assert_eq!(shop.active(), ["a 1000", "b 3000"]);
    let found = views(&shop.books.rejections, "a");
    assert!(found.iter().any(|d| d.message.contains("two rulebooks are named `a`")), "{found:?}");
    // Not even when the first one changes as well, nor after a restart.
    shop.write("a.yaml", &book("a", "pay", "333s"));
    shop.look().await;
    shop.books = Books::new(shop.folder.path().to_owned(), Rejections::default());
    shop.look().await;
    assert_eq!(shop.active(), ["a 1000", "b 3000"]);
    std::fs::remove_file(shop.folder.path().join("a.yaml")).expect("removed");
    assert_eq!(shop.look().await.activated, ["a"], "the conflict has ended");
    assert_eq!(views(&shop.books.rejections, "a"), []);
    assert_eq!(shop.active(), ["a 22000", "b 3000"]);
}

#[tokio::test]
async fn a_file_that_was_refused_for_a_conflict_is_tried_again_when_that_may_have_ended() {
    let mut shop = Shop::open().await;
    let owner = |service| Rulebook::from_yaml(&book("owner", service, "1s")).expect("valid");
    shop.supervisor.activate(owner("pay"), "ann", "over the API").await.expect("active");
    shop.write("a.yaml", &book("a", "pay", "1s"));
    let refused = shop.look().await;
    assert!(refused.activated.is_empty() && refused.rejected.contains("`pay`"), "{refused:?}");
    assert_eq!(shop.look().await, Reload::default(), "nothing has changed");
    shop.supervisor.activate(owner("invoice"), "ann", "lets go of it").await.expect("active");
    assert_eq!(shop.look().await.activated, ["a"]);
    assert_eq!(views(&shop.books.rejections, "a"), []);
}
