//! What the servers' errors mean for the way of a command.

use ::redis::{ServerError, ServerErrorKind, Value};

use super::address::Address;

/// What to do with a command that got an error. In all cases but the last it was not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its slot has another owner, from now on.
    Moved {
        slot: u16,
        to: Address,
    },
    /// Its keys have gone ahead of their slot: this once, it is to be sent there.
    Ask {
        to: Address,
    },
    /// Not now, but here. `moving`: because its keys are half here, half there.
    Later {
        moving: bool,
    },
    /// Not from this server as it is: a replica, or still loading.
    NotNow,
    UnknownScript,
    Refused,
}

pub(super) fn turn(error: &ServerError, asked: &Address) -> Turn {
    match error.kind() {
        Some(ServerErrorKind::Moved) => match redirect(error, asked) {
            Some((slot, to)) => Turn::Moved { slot, to },
            None => Turn::Refused,
        },
        Some(ServerErrorKind::Ask) => match redirect(error, asked) {
            Some((_, to)) => Turn::Ask { to },
            None => Turn::Refused,
        },
        Some(ServerErrorKind::TryAgain) => Turn::Later { moving: true },
        Some(ServerErrorKind::ClusterDown) => Turn::Later { moving: false },
        Some(
            ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown,
        ) => Turn::NotNow,
        Some(ServerErrorKind::NoScript) => Turn::UnknownScript,
        None if error.code() == "BUSY" => Turn::Later { moving: false },
        // Before version 7 a script reports the error of its first write as its own.
        _ if error.details().is_some_and(|details| details.contains("-READONLY ")) => Turn::NotNow,
        _ => Turn::Refused,
    }
}

fn redirect(error: &ServerError, asked: &Address) -> Option<(u16, Address)> {
    let (slot, to) = error.details()?.split_once(' ')?;
    Some((slot.parse().ok()?, Address::parse_redirect(to.trim(), asked)?))
}

/// The first command that failed.
pub(super) fn first_error(values: &[Value]) -> Option<(usize, &ServerError)> {
    values.iter().enumerate().find_map(|(index, value)| match value {
        Value::ServerError(error) => Some((index, error)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> Turn {
        let value = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        let Ok(Value::ServerError(error)) = value else { panic!("{line} is no error") };
        turn(&error, &Address::new("asked", 1))
    }

    #[test]
    fn redirects_name_where_to_go() {
        let to = Address::new("10.0.0.2", 7001);
        assert_eq!(answer("MOVED 77 10.0.0.2:7001"), Turn::Moved { slot: 77, to: to.clone() });
        assert_eq!(answer("ASK 77 10.0.0.2:7001"), Turn::Ask { to });
        let same_host = Address::new("asked", 7001);
        assert_eq!(answer("MOVED 77 :7001"), Turn::Moved { slot: 77, to: same_host });
        assert_eq!(answer("MOVED 77"), Turn::Refused);
    }

    #[test]
    fn the_rest_is_told_apart_by_what_helps() {
        assert_eq!(answer("TRYAGAIN Multiple keys"), Turn::Later { moving: true });
        assert_eq!(answer("CLUSTERDOWN The cluster is down"), Turn::Later { moving: false });
        assert_eq!(answer("BUSY Redis is busy running a script"), Turn::Later { moving: false });
        assert_eq!(answer("LOADING Redis is loading"), Turn::NotNow);
        assert_eq!(answer("READONLY You can't write"), Turn::NotNow);
        assert_eq!(answer("ERR Error running script: -READONLY You can't write"), Turn::NotNow);
        assert_eq!(answer("NOSCRIPT No matching script"), Turn::UnknownScript);
        assert_eq!(answer("WRONGTYPE Operation"), Turn::Refused);
        assert_eq!(answer("OOM command not allowed"), Turn::Refused);
    }
}
