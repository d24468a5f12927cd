//! Who is asking: answered from memory or by the store, with failures held up.

use std::{net::IpAddr, sync::Arc, time::Duration};

use samovar_clock::{Clock, Random};

use crate::{
    Entries, Hash, NewEntry, NewToken, NewUser, Password, Principal, Secret, SecretKind, Store,
    StoreError, TokenId, TokenShown, UserName, UserShown, Who,
    attempts::{Attempts, Wait, network},
    known::{Known, Worth},
    limits,
    links::{Link, Links},
    password::{Busy, Passwords},
};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whoever presents nothing is nobody. Otherwise he may do everything.
    pub required: bool,
    /// How long a sign-in holds.
    pub session: Duration,
    /// Whose word is taken for whom they speak.
    pub proxies: Vec<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        let session = Duration::from_secs(12 * 3600);
        Self { required: false, session, proxies: Vec::new() }
    }
}

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: Settings,
    clock: Clock,
    random: Random,
    known: Known,
    passwords: Passwords,
    links: Links,
    /// Of sign-ins, by where they come from.
    from: Attempts<IpAddr>,
    /// Of sign-ins, by whom they are for.
    of_user: Attempts<UserName>,
    /// Of tokens and sessions that are none.
    secrets: Attempts<IpAddr>,
}

/// Why nobody is let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("it is not known, was revoked, or has expired")]
    Unknown,
    #[error("the name or the password is wrong")]
    Wrong,
    #[error("too many attempts have failed")]
    TooMany { wait: Duration },
    #[error("too many passwords are being checked")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Somebody signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub secret: Secret,
    pub principal: Arc<Principal>,
    pub lifetime: Duration,
}

impl From<Busy> for Denied {
    fn from(Busy: Busy) -> Self {
        Denied::Busy
    }
}

impl From<Wait> for Denied {
    fn from(Wait(wait): Wait) -> Self {
        Denied::TooMany { wait }
    }
}

impl Access {
    pub fn new(store: Store, settings: Settings, clock: Clock, random: Random) -> Self {
        let sign_ins = (limits::FAILED_SIGN_INS, limits::SIGN_IN_AGAIN);
        Self(Arc::new(Inner {
            store,
            settings,
            clock,
            random,
            known: Known::new(),
            passwords: Passwords::new(),
            links: Links::default(),
            from: Attempts::new(sign_ins.0, sign_ins.1),
            of_user: Attempts::new(sign_ins.0, sign_ins.1),
            secrets: Attempts::new(limits::FAILED_SECRETS, limits::SECRET_AGAIN),
        }))
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Another number once something that this process believed is believed no more.
    #[inline]
    pub fn revocations(&self) -> u64 {
        self.0.known.revocations()
    }

    /// Whose it is, as far as this process knows: without a wait, and without a word about what it
    /// does not know. What is believed for a while longer is verified behind the caller's back.
    #[inline]
    pub fn known(&self, secret: &Secret) -> Option<Arc<Principal>> {
        let inner = &self.0;
        let hash = secret.hash();
        match inner.known.look(&hash, inner.clock.now()) {
            Worth::Good(principal) => Some(principal),
            Worth::Recheck(principal) => {
                let (access, kind) = (self.clone(), secret.kind());
                tokio::spawn(async move { access.verify(kind, hash).await });
                Some(principal)
            }
            Worth::Unknown | Worth::Ask(_) => None,
        }
    }

    /// Whose it is, asked at the store where this process does not know.
    pub async fn check(&self, secret: &Secret, from: IpAddr) -> Result<Arc<Principal>, Denied> {
        let (inner, hash, from) = (&self.0, secret.hash(), network(from));
        let worth = inner.known.look(&hash, inner.clock.now());
        if let Worth::Good(principal) | Worth::Recheck(principal) = worth {
            return Ok(principal);
        }
        // Who was known is not held up by what others send from the same address.
        let is_counted = matches!(worth, Worth::Unknown);
        if is_counted {
            inner.secrets.draw(&from, inner.clock.now())?;
        }
        let found = self.verify(secret.kind(), hash).await;
        if is_counted && !matches!(found, Ok(None)) {
            inner.secrets.give_back(&from, inner.clock.now());
        }
        match (found, worth) {
            (Ok(Some(principal)), _) => Ok(principal),
            (Ok(None), _) => Err(Denied::Unknown),
            (Err(StoreError::Unavailable(_)), Worth::Ask(principal)) => Ok(principal),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// What has not even the form of a secret, or is known not to be one, counts as one that is none.
    pub fn malformed(&self, from: IpAddr) -> Denied {
        let drawn = self.0.secrets.draw(&network(from), self.0.clock.now());
        drawn.map_or_else(Denied::from, |()| Denied::Unknown)
    }

    async fn verify(
        &self,
        kind: SecretKind,
        hash: Hash,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        let inner = &self.0;
        let moment = inner.known.moment(inner.clock.now());
        let found = match self.within(inner.store.find(kind, hash)).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                if !matches!(inner.known.look(&hash, inner.clock.now()), Worth::Unknown) {
                    inner.known.forget(&hash);
                }
                return Ok(None);
            }
            Err(error) => {
                inner.known.unanswered(&hash, inner.clock.now());
                return Err(error);
            }
        };
        let principal = Arc::new(found.principal);
        inner.known.verified(&hash, principal.clone(), found.left, moment);
        if found.use_is_old {
            let access = self.clone();
            tokio::spawn(async move {
                if let Err(error) = access.0.store.note_use(hash).await {
                    tracing::debug!(%error, "when a token was used is not written down");
                }
            });
        }
        Ok(Some(principal))
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = self.0.clock.timeout(limits::ANSWER, asked).await;
        let silent = |_| Err(StoreError::Unavailable("it does not answer in time".to_owned()));
        answer.unwrap_or_else(silent)
    }
}

/// Users.
impl Access {
    /// Takes as long for a user that there is not, and says no more about it.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<SignedIn, Denied> {
        let (inner, from) = (&self.0, network(from));
        let name = UserName::new(name).map_err(|_| Denied::Wrong);
        inner.from.draw(&from, inner.clock.now())?;
        if let Ok(name) = &name {
            inner.of_user.draw(name, inner.clock.now())?;
        }
        let signed_in = match &name {
            Ok(name) => self.sign_in_checked(name, password).await,
            Err(denied) => Err(denied.clone()),
        };
        if let Ok(name) = &name {
            match &signed_in {
                // Nobody is held up by those who tried before, at another place.
                Ok(_) => inner.of_user.forget(name),
                Err(Denied::Wrong) => {}
                Err(_) => inner.of_user.give_back(name, inner.clock.now()),
            }
        }
        if !matches!(signed_in, Err(Denied::Wrong)) {
            inner.from.give_back(&from, inner.clock.now());
        }
        signed_in
    }

    async fn sign_in_checked(&self, name: &UserName, password: &str) -> Result<SignedIn, Denied> {
        let kept = self.compare(name, password).await?.ok_or(Denied::Wrong)?;
        self.begin_session(name, kept).await?.ok_or(Denied::Wrong)
    }

    /// Nothing where the hash of the user's password is another one by now.
    async fn begin_session(
        &self,
        name: &UserName,
        kept: String,
    ) -> Result<Option<SignedIn>, StoreError> {
        let (inner, lifetime) = (&self.0, self.0.settings.session);
        let secret = Secret::draw(SecretKind::Session);
        let begun = inner.store.start_session(secret.hash(), name.clone(), kept, lifetime).await?;
        if !begun {
            return Ok(None);
        }
        let principal = self.verify(SecretKind::Session, secret.hash()).await?;
        Ok(principal.map(|principal| SignedIn { secret, principal, lifetime }))
    }

    /// Signs this user in once, within [`limits::LINK`], at this process. Whoever has it needs nothing
    /// else.
    pub fn create_link(&self, user: UserName) -> Secret {
        let (inner, secret) = (&self.0, Secret::draw(SecretKind::Link));
        inner.links.put(Link {
            hash: secret.hash(),
            user,
            until: inner.clock.now() + limits::LINK,
        });
        secret
    }

    /// [`Denied::Unknown`]: there is no such link, or not any more, or its user is gone.
    pub async fn follow_link(&self, given: &[u8], from: IpAddr) -> Result<SignedIn, Denied> {
        let inner = &self.0;
        let hash = Secret::parse(SecretKind::Link, given).map(|link| link.hash());
        let link = hash.and_then(|hash| inner.links.take(&hash, inner.clock.now()));
        let link = link.ok_or_else(|| self.malformed(from))?;
        let begun = async {
            match inner.store.password(link.user.clone()).await? {
                Some(kept) => self.begin_session(&link.user, kept).await,
                None => Ok(None),
            }
        };
        let begun = begun.await;
        if begun.is_err() {
            // It was not used.
            inner.links.put(link);
        }
        begun?.ok_or(Denied::Unknown)
    }

    pub async fn sign_out(&self, secret: &Secret) -> Result<bool, StoreError> {
        let ended = self.0.store.end_session(secret.hash()).await;
        self.0.known.forget(&secret.hash());
        ended
    }

    pub async fn create_user(&self, user: NewUser, password: &Password) -> Result<(), Denied> {
        let hash = self.0.passwords.hash(password).await?;
        Ok(self.0.store.create_user(user, hash).await?)
    }

    pub async fn users(&self) -> Result<Vec<UserShown>, StoreError> {
        self.0.store.users().await
    }

    /// Whether there was such a one. Nothing of it is believed here when this returns.
    pub async fn remove_user(&self, name: &UserName) -> Result<bool, StoreError> {
        let removed = self.0.store.remove_user(name.clone()).await;
        self.forget_user(name);
        removed
    }

    /// Whether there is such a one. All its sessions end, that of whoever asks among them.
    pub async fn set_password(&self, name: &UserName, password: &Password) -> Result<bool, Denied> {
        let hash = self.0.passwords.hash(password).await?;
        let set = self.0.store.set_password(name.clone(), hash).await;
        self.forget_user(name);
        Ok(set?)
    }

    /// Whether it is the user's; counts as a failed sign-in where it is not.
    pub async fn is_password(&self, name: &UserName, given: &str) -> Result<bool, Denied> {
        let inner = &self.0;
        inner.of_user.draw(name, inner.clock.now())?;
        let compared = self.compare(name, given).await;
        if !matches!(compared, Ok(None)) {
            inner.of_user.give_back(name, inner.clock.now());
        }
        Ok(compared?.is_some())
    }

    /// The hash that is kept, where it is that of this password.
    async fn compare(&self, name: &UserName, given: &str) -> Result<Option<String>, Denied> {
        let kept = self.0.store.password(name.clone()).await?;
        let is_password = self.0.passwords.is(given, kept.as_deref()).await?;
        Ok(kept.filter(|_| is_password))
    }

    fn forget_user(&self, name: &UserName) {
        self.0.known.forget_where(|_, it| matches!(&it.who, Who::User(user) if user == name));
    }
}

/// Tokens, and the audit log.
impl Access {
    /// The secret is told here and nowhere else.
    pub async fn create_token(&self, token: NewToken) -> Result<(TokenId, Secret), StoreError> {
        let secret = Secret::draw(SecretKind::Token);
        let id = self.0.store.create_token(token, secret.hash(), &self.0.random).await?;
        Ok((id, secret))
    }

    pub async fn tokens(&self) -> Result<Vec<TokenShown>, StoreError> {
        self.0.store.tokens().await
    }

    /// Whether there was such a one. It is not believed here any more when this returns, and nowhere
    /// after [`limits::BELIEVED`].
    pub async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        let revoked = self.0.store.revoke_token(id).await;
        self.0
            .known
            .forget_where(|_, it| matches!(&it.who, Who::Token { id: it, .. } if *it == id));
        revoked
    }

    /// `repeats`: the same within a minute is counted. A store that is silent is not waited for.
    pub async fn record(&self, entry: NewEntry, repeats: bool) -> Result<(), StoreError> {
        self.within(self.0.store.record(entry, repeats)).await
    }

    /// The newest first.
    pub async fn entries(&self, before: Option<u64>, rows: usize) -> Result<Entries, StoreError> {
        self.0.store.entries(before, rows).await
    }

    pub async fn close(&self) {
        self.0.store.close().await;
    }
}
