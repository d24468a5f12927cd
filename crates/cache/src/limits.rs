//! Every limit of the cache in one place, each with what happens when it is reached.

use std::time::Duration;

/// Bytes of a tenant id. Longer: refused.
pub const TENANT_BYTES: usize = 128;
/// Tags of one reading, ancestors and built-in versions apart. More: the reading is refused.
pub const TAGS_PER_READING: usize = 16;
/// Tags of one reading whose value is divided by them: a bit of a word for each. More: the reading is
/// refused.
pub const TAGS_OF_DIVIDED: usize = 32;
/// Segments of a tag. Deeper: the tag is refused.
pub const TAG_DEPTH: usize = 6;
/// Bytes of a tag. Longer: the tag is refused.
pub const TAG_BYTES: usize = 256;
/// Bytes of a stored key. Longer: the reading is refused.
pub const KEY_BYTES: usize = 1024;
/// Bytes of the name of a widget or a freshness class. Longer: refused at declaration.
pub const NAME_BYTES: usize = 64;
/// Readings in one `get_many`, one look for divided values, or one eviction. More: refused.
pub const READINGS_PER_CALL: usize = 1024;
/// Tags in one `invalidate`. More: refused.
pub const TAGS_PER_CALL: usize = 1024;
/// Widgets one cache knows. More: refused at declaration.
pub const WIDGETS: usize = 4096;
/// Pairs of widget and tenant that have statistics of their own; the rest share one row per widget.
pub const STATISTICS_ROWS: usize = 16_384;
/// Bytes of the cause kept with a version and of an error kept with a back-off. Longer: cut.
pub const CAUSE_BYTES: usize = 200;
/// Keys that one clean-up lists. More: counted, not named.
pub const LISTED_KEYS: usize = 1000;
/// Bytes a stored value may decompress to, whatever it announces. More: treated as damaged.
pub const DECOMPRESSED_BYTES: usize = 1 << 30;
/// Of zstd: its own default, a good trade for JSON.
pub const COMPRESSION_LEVEL: i32 = 3;
/// Longest freshness anybody may declare.
pub const LONGEST_TTL: Duration = Duration::from_secs(366 * 24 * 3600);
/// How often a change is sent when the store does not answer. Then: an error; repeating is safe.
pub const CHANGE_ATTEMPTS: u32 = 3;
/// How much longer than its entries a version lives.
pub const VERSION_MARGIN: Duration = Duration::from_secs(3600);
/// How often somebody who waits for another process's lease asks again when no message comes.
pub const LEASE_POLL: Duration = Duration::from_millis(250);
/// How long others wait for a look that a reader makes itself before one of them takes over: the
/// reader's task may be held up by what has nothing to do with the store.
pub const OVERDUE_LOOK: Duration = Duration::from_secs(1);
/// A store that has not answered for so long is silent, however little patience a reader has.
pub const SILENCE: Duration = Duration::from_millis(500);
/// How long a version is not asked for again, however well it is known: a store that evicts what is
/// asked for least would take it for unused.
pub const VOUCHED_FOR: Duration = Duration::from_secs(60);
