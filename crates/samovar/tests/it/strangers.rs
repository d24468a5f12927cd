//! What strangers have put into jobs: shown to people on a terminal, none of it is obeyed there.

use std::time::Duration;

use samovar_cache::Folder;
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    Finish, JobId, Kind, NewJob, Outcome, QueueName, WorkerName,
    store::{Claim, EmbeddedStore, Suspects},
};

use crate::shop::Shop;

/// Clears the screen, rings, goes back to the beginning of the line, and asks the terminal who it is.
const REASON: &str = "\u{1b}[2Jgone\u{7}\rwell\u{9b}c\nand\tmore";

/// A job that ended like this.
async fn fail(shop: &Shop, reason: &str) -> JobId {
    let owned = Folder::own(shop.path("samovar-data")).expect("nobody has it");
    let store = EmbeddedStore::open(owned, Clock::System, Random::System).await.expect("opens");
    let queue = QueueName::new("default").expect("a name");
    let id = JobId::draw(&Random::System);
    let job = NewJob::new(id, queue.clone(), Kind::new("charge").expect("a name"), *b"{}");
    let store = samovar_jobs::Store::Embedded(store);
    store.push(vec![job]).await.expect("pushed");
    let claim = Claim {
        worker: WorkerName::new("test").expect("a name"),
        queues: vec![(queue, 1)],
        lease: Duration::from_secs(30),
        version: u32::MAX,
        except: Vec::new(),
        rules: [].into(),
        suspects: Suspects::Also,
    };
    let hold = store.claim(claim).await.expect("answers").jobs[0].hold;
    store.start(vec![hold]).await.expect("answers");
    let failed = Outcome::Failed { reason: reason.to_owned() };
    store.finish(vec![Finish::new(hold, failed)]).await.expect("answers");
    store.close().await;
    id
}

fn is_plain(said: &str) -> bool {
    said.chars().all(|c| c == '\n' || !c.is_control())
}

#[tokio::test]
async fn a_terminal_is_told_letters_and_a_program_all_of_it() {
    let shop = Shop::new();
    let id = fail(&shop, REASON).await.to_string();
    let listed = shop.said(&["jobs", "list"]);
    assert!(is_plain(&listed), "{listed:?}");
    let line = listed.lines().find(|line| line.contains(&id)).expect("a line");
    assert!(line.ends_with("[2Jgone  well c"), "{line:?}");
    let shown = shop.said(&["jobs", "show", &id]);
    assert!(is_plain(&shown) && shown.contains("[2Jgonewellc\nandmore"), "{shown:?}");
    assert_eq!(shop.json(&["jobs", "list"])["jobs"][0]["reason"], REASON);
    assert_eq!(shop.json(&["jobs", "show", &id])["history"][0]["reason"], REASON);

    // What is refused is named in the words of whoever asked.
    let (code, said) = shop.ending(&["jobs", "show", "\u{1b}[2Jnobody"]);
    assert!(code == Some(1) && is_plain(&said) && said.contains("[2Jnobody"), "{said:?}");
}
