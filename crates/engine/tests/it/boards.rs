//! Boards: all their widgets at once, and whether they agree.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use samovar_clock::{Clock, Random};
use samovar_engine::{Ask, BoardAnswer, InvalidReading, ReadFailure, Tier};
use serde_json::json;

use crate::desk::{Desk, check, data, pairs};

/// Eight tiles with two tags; whatever they show was written in one transaction.
fn definitions() -> String {
    let mut text =
        "[tenants]\nlist = [{ id = \"north\" }]\n[source.shop]\nurl = \"sqlite://shop.db\"\n\
                    [source.other]\nurl = \"sqlite://shop.db\"\n"
            .to_owned();
    for tile in 0..8 {
        let tag = ["orders", "stock"][tile % 2];
        text += &format!(
            "[widget.tile{tile}]\nsource = \"shop\"\ntags = [\"{tag}\"]\nparams.plus = {{ type = \"integer\", default = 0 }}\n\
             query = \"select version + :plus as version from tiles where tile = {tile} and :tenant <> ''\"\n"
        );
    }
    text += "[widget.ranged]\nsource = \"shop\"\nranges = [\"today\", \"7d\"]\n\
             query = \"select count(*) as tiles from tiles where :from < :to and :tenant <> ''\"\n\
             [widget.broken]\nsource = \"shop\"\nquery = \"select json_extract('{', '$') as x where :tenant <> ''\"\n\
             [widget.elsewhere]\nsource = \"other\"\nquery = \"select 1 as one where :tenant <> ''\"\n\
             [widget.dark]\nsource = \"shop\"\nmode = \"off\"\nquery = \"select 1 as one where :tenant <> ''\"\n";
    text += &format!("[board.all]\ntitle = \"All\"\nwidgets = {:?}\n", tiles(0..8));
    text += &format!("[board.strict]\nagree = true\nwidgets = {:?}\n", tiles(0..8));
    text += "[board.mixed]\nwidgets = [\"tile0\", \"ranged\"]\n\
             [board.partly]\nwidgets = [\"tile0\", \"broken\", \"dark\", \"tile1\"]\n\
             [board.two_sources]\nwidgets = [\"tile0\", \"elsewhere\"]\n";
    text
}

fn tiles(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|tile| format!("tile{tile}")).collect()
}

const SCHEMA: &str = "create table tiles (tile integer primary key, version integer);
    with recursive n(i) as (select 0 union all select i + 1 from n where i < 7)
    insert into tiles select i, 0 from n;";

async fn open() -> Desk {
    Desk::open(&definitions(), SCHEMA).await
}

async fn read(desk: &Desk, board: &str, given: &[(&str, &str)]) -> BoardAnswer {
    desk.engine.read_board(board, "north", pairs(given)).await.expect("an answer")
}

fn versions(board: &BoardAnswer) -> Vec<i64> {
    let version = |tile: &samovar_engine::Tile| {
        let answer = tile.answer.as_ref().expect("an answer");
        data(answer)["rows"][0]["version"].as_i64().expect("a version")
    };
    board.tiles.iter().map(version).collect()
}

fn tiers(board: &BoardAnswer) -> Vec<Tier> {
    board.tiles.iter().map(|tile| tile.answer.as_ref().expect("an answer").tier()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_is_computed_in_one_snapshot_and_found_in_one_look() {
    let desk = open().await;
    // Of other readings. The first look at a tag's version finds none, and who hears that late, when a
    // neighbour has made one, takes it for gone: then what was made under it is asked for once more.
    read(&desk, "all", &[("plus", "1")]).await;
    let first = read(&desk, "all", &[]).await;
    assert_eq!((first.title.as_str(), first.agree, first.tiles.len()), ("All", true, 8));
    assert_eq!(tiers(&first), [Tier::Computed; 8]);
    let moments: Vec<_> = first
        .tiles
        .iter()
        .map(|it| it.answer.as_ref().expect("read").provenance().moment)
        .collect();
    assert!(moments.iter().all(|moment| *moment == moments[0] && *moment != 0));
    let second = read(&desk, "all", &[]).await;
    assert_eq!((tiers(&second), second.agree), (vec![Tier::Local; 8], true));

    // Half of it is computed anew, and is of another moment.
    desk.write("update tiles set version = 1");
    desk.invalidate("north", "stock").await;
    let third = read(&desk, "all", &[]).await;
    assert_eq!(versions(&third), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert!(!third.agree);
    // Whoever wants them to agree has all of them computed.
    let strict = read(&desk, "strict", &[]).await;
    assert_eq!((versions(&strict), strict.agree), (vec![1; 8], true));
    assert_eq!(tiers(&strict), [Tier::Computed; 8]);
    assert_eq!(tiers(&read(&desk, "strict", &[]).await), [Tier::Local; 8]);
    desk.write("update tiles set version = 2");
    desk.invalidate("north", "orders").await;
    desk.invalidate("north", "stock").await;
    let fourth = read(&desk, "all", &[]).await;
    assert_eq!((versions(&fourth), fourth.agree), (vec![2; 8], true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_goes_to_the_tiles_that_take_it() {
    let desk = open().await;
    let board = read(&desk, "mixed", &[("range", "2026-11-01..2026-11-03"), ("plus", "5")]).await;
    assert!(board.agree);
    let shown: Vec<_> = board
        .tiles
        .iter()
        .map(|it| data(it.answer.as_ref().expect("read"))["rows"][0].clone())
        .collect();
    assert_eq!(shown, [json!({ "version": 5 }), json!({ "tiles": 8 })]);

    let refused = async |board: &str, given: &[(&str, &str)]| {
        desk.engine.read_board(board, "north", pairs(given)).await.expect_err("refused")
    };
    let unknown = refused("mixed", &[("plsu", "5")]).await;
    let name = "plsu".to_owned();
    assert_eq!(unknown, InvalidReading::UnknownParam { name, nearest: Some("plus".into()) }.into());
    let twice = refused("mixed", &[("plus", "5"), ("plus", "5")]).await;
    assert_eq!(twice, InvalidReading::RepeatedParam { name: "plus".into() }.into());
    let board = refused("mixd", &[]).await;
    assert_eq!(
        board,
        ReadFailure::UnknownBoard { name: "mixd".into(), nearest: Some("mixed".into()) }
    );
    assert!(matches!(
        desk.engine.read_board("all", "east", Vec::new()).await,
        Err(ReadFailure::Tenant(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_that_fails_or_is_off_leaves_the_others_alone() {
    let desk = open().await;
    let board = read(&desk, "partly", &[]).await;
    assert!(!board.agree);
    let answers: Vec<_> = board.tiles.iter().map(|tile| tile.answer.as_ref()).collect();
    assert!(answers[0].is_ok() && answers[3].is_ok());
    assert!(matches!(answers[1], Err(ReadFailure::Read(_))), "{:?}", answers[1]);
    assert!(matches!(answers[2], Err(ReadFailure::Off)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_has_to_agree_is_of_one_source() {
    let text = definitions().replace("[board.two_sources]", "[board.two_sources]\nagree = true");
    let folder = tempfile::tempdir().expect("a folder");
    let database = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    database.execute_batch(SCHEMA).expect("tables");
    let problems = check(&text, folder.path(), &Clock::System, Ask::All).await.expect_err("one");
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].reason,
        "`elsewhere` reads from `other`, and what stands before it from `shop`"
    );
}

/// Readers who come while it is made wait for that, and all see it.
#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_board_that_has_to_agree_make_it_once() {
    let desk = open().await;
    let boards = (0..16).map(|_| read(&desk, "strict", &[]));
    for board in futures_util::future::join_all(boards).await {
        assert!(board.agree);
    }
    let statistics = desk.engine.statistics().await;
    for tile in tiles(0..8) {
        assert_eq!(statistics.widgets[&tile].computes, 1, "{tile}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_of_two_sources_never_claim_to_agree() {
    let desk = open().await;
    assert!(!read(&desk, "two_sources", &[]).await.agree);
    assert!(!read(&desk, "two_sources", &[]).await.agree);
}

/// Between the commit of a change and its announcement a tile may be computed that shows it, while
/// the others, which show the state before, are still fresh by all that anybody knows.
#[tokio::test(flavor = "multi_thread")]
async fn tiles_that_agree_show_one_state_however_the_database_changes() {
    watch("all", 10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_has_to_agree_is_never_wrong_either() {
    watch("strict", 2_000).await;
}

/// Reads a board while its database changes all the time.
#[expect(clippy::print_stdout, reason = "the figure, for whoever asks with --no-capture")]
async fn watch(board_name: &str, reads: usize) {
    let desk = Arc::new(open().await);
    let over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (desk, over) = (desk.clone(), over.clone());
        let (database, random) = (desk.database(), Random::seeded(7));
        database.pragma_update(None, "synchronous", "off").expect("a pragma");
        tokio::spawn(async move {
            let mut changes = 0;
            while !over.load(Ordering::Acquire) {
                database.execute("update tiles set version = version + 1", []).expect("written");
                changes += 1;
                // Some are told at once, some late, some to half of the tiles, some never.
                for _ in 0..random.below(3) {
                    tokio::task::yield_now().await;
                }
                if random.below(4) < 3 {
                    desk.invalidate("north", "orders").await;
                }
                if random.below(4) < 3 {
                    desk.invalidate("north", "stock").await;
                }
                // And single tiles are read by themselves.
                let tile = format!("tile{}", random.below(8));
                desk.read(&tile, &[]).await;
            }
            changes
        })
    };
    let mut agreed = 0;
    let mut mixed = 0;
    for _ in 0..reads {
        let board = read(&desk, board_name, &[]).await;
        let shown = versions(&board);
        let is_one_state = shown.iter().all(|version| *version == shown[0]);
        if board.agree {
            agreed += 1;
            assert!(is_one_state, "{shown:?}");
        }
        mixed += usize::from(!is_one_state);
    }
    over.store(true, Ordering::Release);
    let changes = writer.await.expect("no panic");
    println!(
        "{board_name}: {reads} reads, {changes} changes, {agreed} agreed, {mixed} of two states"
    );
    assert!(agreed > 0 && changes > 0, "nothing was tried");
}
