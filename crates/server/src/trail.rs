//! What a write leaves in the audit log: who asked for what, and what became of it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Method, StatusCode};
use samovar_access::{Access, NewEntry, Outcome};

use crate::identity::{Identity, Peer};

/// What the body of a request adds to what its entry says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    tenants: Vec<String>,
    detail: Option<String>,
    /// Who has signed it.
    signer: Option<String>,
}

/// The code of an error, beside its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub(crate) &'static str);

/// Who asked for what.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) identity: Option<Identity>,
    pub(crate) peer: Option<Peer>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) trail: Trail,
    /// Many of these are as good as one.
    pub(crate) repeats: bool,
    /// Nobody is asked who he is: who has signed it is written down, and nothing of who has not.
    pub(crate) is_signed: bool,
}

impl Trail {
    pub(crate) fn note(&self, tenants: Vec<String>, detail: Option<String>) {
        let signer = None;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Noted { tenants, detail, signer };
    }

    pub(crate) fn signed_by(&self, signer: String, tenants: Vec<String>) {
        let (signer, detail) = (Some(signer), None);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Noted { tenants, detail, signer };
    }
}

/// Before the answer goes out. What cannot be written down is logged: the change is made by then.
pub(crate) async fn leave(
    access: &Access,
    request: Request,
    (status, code): (StatusCode, Option<Code>),
) {
    let Request { identity, peer, method, path, trail, repeats, is_signed } = request;
    let noted = std::mem::take(&mut *trail.0.lock().unwrap_or_else(PoisonError::into_inner));
    if is_signed && noted.signer.is_none() {
        return;
    }
    let outcome = outcome(status);
    let code = code.map_or_else(|| status.as_str().to_owned(), |code| code.0.to_owned());
    let principal = identity.as_ref().map(|identity| &*identity.principal);
    let nobody = "nobody".to_owned();
    let entry = NewEntry {
        who: principal.map(|it| it.who.to_string()).or(noted.signer).unwrap_or(nobody),
        role: principal.map(|it| it.role.to_string()),
        from: match peer {
            Some(Peer::Address(address)) => address.to_string(),
            Some(Peer::Owner) | None => "this machine".to_owned(),
        },
        what: format!("{method} {path}"),
        tenants: noted.tenants,
        detail: noted.detail,
        outcome,
        code,
    };
    let repeats = repeats || outcome == Outcome::Refused;
    if let Err(error) = access.record(entry.clone(), repeats).await {
        let NewEntry { who, from, what, tenants, code, .. } = entry;
        tracing::error!(%error, who, from, what, ?tenants, code, "not in the audit log");
    }
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        status if status.is_success() || status.is_redirection() => Outcome::Done,
        status if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Failed,
    }
}
