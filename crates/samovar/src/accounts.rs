//! Who pays for what outlives the job that made it: the cache and SQLite. Both limit themselves, so what
//! they hold is not taken from the jobs.

use std::sync::{Arc, LazyLock};

use samovar_cache::Keeper;
use samovar_clock::Spawner;
use samovar_memory::{
    Account, Budget,
    sqlite::{self, Payer, TooLate},
};

static CACHE: LazyLock<Account> = LazyLock::new(|| Account::unlimited("cache"));
/// Pages stay with a pooled connection, and serve everybody after the job that read them first.
static SQLITE: LazyLock<Account> = LazyLock::new(|| Account::unlimited("sqlite"));

/// Before the first connection: SQLite keeps the allocator it began with.
pub(crate) fn route_sqlite() -> Result<(), TooLate> {
    sqlite::route(Payer::Account(SQLITE.clone()))
}

/// For what the local tier keeps.
pub(crate) fn keeper() -> Keeper {
    Keeper::new(|keep| CACHE.scope(keep))
}

/// What a job makes the cache compute is computed for the job.
pub(crate) fn spawner() -> Spawner {
    Spawner::Manual(Arc::new(|task| drop(samovar_memory::spawn(task))))
}

pub(crate) fn exempt_from(budget: &Budget) {
    budget.exempt(&CACHE);
    budget.exempt(&SQLITE);
}

#[cfg(test)]
mod tests {
    use samovar_cache::{Cache, Definition, Tenant, Tier};

    use super::*;

    const ENTRIES: usize = 200;
    const BYTES: usize = 20_000;

    fn held(account: &Account) -> u64 {
        account.usage().expect("this program meters").current_bytes
    }

    /// Law 16: what a job put into the cache, or read out of its shared tier, is the cache's when the job
    /// has ended; what the job makes the cache compute is the job's as long as that takes.
    #[tokio::test]
    async fn what_a_job_leaves_in_the_cache_is_not_charged_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = async || {
            let cache = Cache::builder().keeper(keeper()).spawner(spawner());
            cache.open(folder.path()).await.expect("opens")
        };
        let read_all = async |cache: &Cache| {
            let widget = cache.declare(Definition::new("w").key("w:{tenant}:{n}")).expect("valid");
            let tenant = Tenant::new("acme").expect("valid");
            for n in 0..ENTRIES {
                let params = [("n", &*n.to_string())];
                let reading = widget.reading(&tenant).params(&params);
                let compute = || async {
                    let job = Account::running().map(|it| it.job().to_owned());
                    assert_eq!(job.as_deref(), Some("job"), "it is computed for the job");
                    // What does not compress, and what is decompressed for whoever reads it.
                    let text = "samovar ".repeat(BYTES / 8);
                    Ok::<_, std::io::Error>(text)
                };
                let answer = cache.get_or_compute(&reading, compute).await.expect("an answer");
                assert_eq!(answer.bytes().expect("readable").len(), BYTES);
                assert_ne!(answer.tier(), Tier::Local);
            }
        };
        for _ in ["computed", "from the shared tier"] {
            let (cache, before) = (open().await, held(&CACHE));
            let job = Account::unlimited("job");
            job.wrap(read_all(&cache)).await;
            // The store's threads end, and tell what they freed.
            cache.close().await;
            let (kept, left) = (held(&CACHE) - before, held(&job));
            assert!(kept > (ENTRIES * BYTES) as u64, "{kept} bytes");
            assert!(left < kept / 100, "{left} bytes are still the job's");
        }
    }
}
