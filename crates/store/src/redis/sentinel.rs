//! Asking the sentinels who the master is.

use std::sync::Arc;

use ::redis::{Value, aio::MultiplexedConnection, pipe};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{
    address::Address,
    handshake::{self, As, Reason},
    info, reply,
    shared::Shared,
};

/// The connections to the sentinels, kept from one question to the next.
pub(super) struct Sentinels {
    service: String,
    known: Vec<Sentinel>,
}

struct Sentinel {
    address: Address,
    connection: Option<MultiplexedConnection>,
}

/// What one sentinel believes.
struct Belief {
    master: Address,
    epoch: i64,
}

impl Sentinels {
    pub(super) fn new(addresses: &[Address], service: &str) -> Self {
        let known = addresses
            .iter()
            .map(|address| Sentinel { address: address.clone(), connection: None })
            .collect();
        Self { service: service.to_owned(), known }
    }

    /// Asks all of them and waits for more than half, or as many as come in time. The newest
    /// configuration wins: a sentinel that was cut off still names the old master.
    pub(super) async fn master(&mut self, shared: &Arc<Shared>) -> Result<Address, Reason> {
        let majority = self.known.len() / 2 + 1;
        let mut beliefs: Vec<Belief> = Vec::new();
        let mut last_error: Reason = "no sentinel answered in time".into();
        let service = &self.service;
        let mut asked: FuturesUnordered<_> =
            self.known.iter_mut().map(|sentinel| sentinel.ask(shared, service)).collect();
        let collect = async {
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(belief) => beliefs.push(belief),
                    Err(reason) => last_error = reason,
                }
                if beliefs.len() >= majority {
                    break;
                }
            }
        };
        // Late ones are not waited for: whoever answered counts.
        let _ = shared.clock.timeout(shared.options.connect_timeout / 2, collect).await;
        let newest = beliefs.into_iter().max_by_key(|belief| belief.epoch);
        newest.map(|belief| belief.master).ok_or(last_error)
    }
}

impl Sentinel {
    async fn ask(&mut self, shared: &Arc<Shared>, service: &str) -> Result<Belief, Reason> {
        let at = |reason: Reason, address: &Address| -> Reason {
            format!("sentinel {address}: {reason}").into()
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let config = handshake::unlimited();
                handshake::connect(&shared.options, As::Sentinel, &self.address, &config)
                    .await
                    .map_err(|reason| at(reason, &self.address))?
            }
        };
        let mut questions = pipe();
        questions.cmd("SENTINEL").arg("get-master-addr-by-name").arg(service);
        questions.cmd("SENTINEL").arg("MASTER").arg(service);
        let answers = handshake::exchange(&mut connection, &questions)
            .await
            .map_err(|reason| at(reason, &self.address))?;
        // Kept only now: a connection that failed, or was given up on, is not used again.
        self.connection = Some(connection);
        belief(&answers, &self.address).ok_or_else(|| {
            let reason = match reply::first_error(&answers) {
                // Asked for the address of a name it does not know, it says "nil".
                Some((0, error)) => error.to_string(),
                _ => format!("it does not know `{service}`"),
            };
            at(reason.into(), &self.address)
        })
    }
}

fn belief(answers: &[Value], asked: &Address) -> Option<Belief> {
    let [Value::Array(address), state] = answers else { return None };
    let [host, port] = address.as_slice() else { return None };
    let host = info::text(host).filter(|host| !host.is_empty()).unwrap_or(&asked.host);
    let port = u16::try_from(info::integer(port)?).ok()?;
    let epoch = info::pair(state, "config-epoch").and_then(info::integer)?;
    Some(Belief { master: Address::new(host, port), epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_belief_is_an_address_and_how_new_it_is() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let address = Value::Array(vec![text("10.0.0.1"), text("6380")]);
        let state = Value::Array(vec![text("name"), text("main"), text("config-epoch"), text("4")]);
        let asked = Address::new("s", 1);
        let belief = belief(&[address, state.clone()], &asked).expect("a belief");
        assert_eq!((belief.master, belief.epoch), (Address::new("10.0.0.1", 6380), 4));
        assert!(super::belief(&[Value::Nil, state], &asked).is_none());
    }
}
