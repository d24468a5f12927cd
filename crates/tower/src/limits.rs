//! Every limit of the layer in one place, each with what happens when it is reached.

use std::time::Duration;

/// Rules of one layer. More: refused when the rule is made.
pub const RULES: usize = 1024;
/// Tags of one rule; widgets and freshness classes likewise. More: refused when the rule is made.
pub const TAGS_PER_RULE: usize = 16;
/// Segments of a rule's path. More: refused when the rule is made.
pub const PATH_SEGMENTS: usize = 32;
/// Bytes of a rule's path and of each template. Longer: refused when the rule is made.
pub const TEMPLATE_BYTES: usize = 1024;

/// How long a response waits for its invalidation, unless set. Then: it goes out saying `no`, and
/// the invalidation goes on in the background.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long a response waits while the target is known to be away: an outage of the target must not
/// become a slow application.
pub const PATIENCE_WHILE_AWAY: Duration = Duration::from_millis(100);
/// Tries of one invalidation while its response waits. Then: it goes on in the background.
pub const QUICK_TRIES: u32 = 3;
/// The pause before the second quick try; each further one is twice as long.
pub const QUICK_PAUSE: Duration = Duration::from_millis(50);

/// How long an invalidation is repeated in the background, unless set. Then: it is given up with an
/// error in the log, and what it named stays as it is until it expires.
pub const RETRY_FOR: Duration = Duration::from_secs(60);
/// The pause after the first failure in the background; each further one is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause in the background is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one try in the background may take. Longer: it counts as failed.
pub const TRY: Duration = Duration::from_secs(10);
/// Different changes that wait in the background. More: not repeated, with an error in the log.
pub const WAITING_CHANGES: usize = 4096;

/// How long a request whose client has gone runs on, unless set. Longer: it is cancelled, and does
/// not invalidate.
pub const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// Requests that run on without their clients. More: cancelled, as without the layer.
pub const RUNNING_ON: usize = 1024;

/// Tags in one call to a remote Samovar. More: sent in several calls.
pub const TAGS_PER_REMOTE_CALL: usize = 256;
/// How long one call to a remote Samovar may take, unless set. Longer: it counts as failed.
pub const REMOTE_CALL: Duration = Duration::from_secs(2);
/// How long connecting to a remote Samovar may take. Longer: the call counts as failed.
pub const REMOTE_CONNECT: Duration = Duration::from_secs(1);
/// Bytes kept of an answer that refuses a call. Longer: cut.
pub const REASON_BYTES: usize = 500;
