//! What the cache says about the Redis behind it.

use samovar_store::redis::{MasterStatus, Status, Topology};

use super::RedisTier;
use crate::shared::StoreState;

impl RedisTier {
    pub(crate) async fn state(&self) -> StoreState {
        describe(&self.redis.status().await, &self.redis.options().topology)
    }
}

fn describe(status: &Status, topology: &Topology) -> StoreState {
    let masters = &status.masters;
    let sum = |figure: fn(&samovar_store::redis::ServerStatus) -> u64| {
        let servers: Option<Vec<_>> = masters.iter().map(|master| master.server.as_ref()).collect();
        servers.filter(|all| !all.is_empty()).map(|all| all.into_iter().map(figure).sum())
    };
    let mut errors = masters.iter().filter_map(|master| master.last_error.as_deref());
    StoreState {
        kind: "redis",
        connected: !masters.is_empty() && masters.iter().all(|master| master.connected),
        memory_bytes: sum(|server| server.used_memory_bytes),
        memory_limit_bytes: sum(|server| server.maxmemory_bytes).filter(|limit| *limit > 0),
        keys: sum(|server| server.keys),
        expired: sum(|server| server.expired),
        evicted: sum(|server| server.evicted),
        reconnects: masters.iter().map(|master| master.reconnects).sum(),
        warnings: masters.iter().flat_map(|master| warnings(master, topology)).collect(),
        last_error: status.topology_error.as_deref().or(errors.next_back()).map(str::to_owned),
    }
}

fn warnings(master: &MasterStatus, topology: &Topology) -> Vec<String> {
    let Some(server) = &master.server else { return Vec::new() };
    let address = &master.address;
    let mut warnings = Vec::new();
    let may_fail_over = !matches!(topology, Topology::Single { .. });
    if may_fail_over && server.min_replicas_to_write.is_none_or(|count| count == 0) {
        warnings.push(format!(
            "{address}: without min-replicas-to-write a master that was replaced may go on \
             answering those who cannot reach the new one, past the heartbeat bound"
        ));
    }
    if server.maxmemory_bytes > 0 && server.maxmemory_policy == "noeviction" {
        warnings.push(format!(
            "{address}: maxmemory-policy is noeviction, so nothing is cached when memory is full: \
             volatile-lru or allkeys-lru make room"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use samovar_store::redis::{Address, ServerStatus};

    use super::*;

    fn master(port: u16, server: Option<ServerStatus>) -> MasterStatus {
        MasterStatus {
            address: Address::new("h", port),
            connected: server.is_some(),
            trusted: server.is_some(),
            incarnation: None,
            reconnects: 2,
            last_error: None,
            beat_round_trip: None,
            server,
        }
    }

    fn server() -> ServerStatus {
        ServerStatus { used_memory_bytes: 10, keys: 3, ..ServerStatus::default() }
    }

    #[test]
    fn figures_are_summed_over_all_masters_or_not_told() {
        let seeds = Topology::Cluster { seeds: Vec::new() };
        let both = [master(1, Some(server())), master(2, Some(server()))];
        let status = Status { masters: both.to_vec(), topology_error: None };
        let state = describe(&status, &seeds);
        assert!(state.connected);
        assert_eq!((state.memory_bytes, state.keys, state.reconnects), (Some(20), Some(6), 4));
        assert_eq!(state.memory_limit_bytes, None);

        let one = [master(1, Some(server())), master(2, None)];
        let status = Status { masters: one.to_vec(), topology_error: Some("lost".into()) };
        let state = describe(&status, &seeds);
        assert!(!state.connected);
        assert_eq!(state.keys, None);
        assert_eq!(state.last_error.as_deref(), Some("lost"));
    }

    #[test]
    fn what_an_operator_should_know_is_said() {
        let address = Address::new("h", 1);
        let single = Topology::Single { address };
        let sentinel = Topology::Sentinel { sentinels: Vec::new(), service: "m".to_owned() };
        let warned = |server, topology| warnings(&master(1, Some(server)), topology).len();
        assert_eq!(warned(server(), &single), 0);
        assert_eq!(warned(server(), &sentinel), 1);
        let safe = ServerStatus { min_replicas_to_write: Some(1), ..server() };
        assert_eq!(warned(safe, &sentinel), 0);
        let full = ServerStatus {
            maxmemory_bytes: 1,
            maxmemory_policy: "noeviction".to_owned(),
            ..server()
        };
        assert_eq!(warned(full, &single), 1);
    }
}
