//! Connections that are made before a guest runs, checked against its protocol objects.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;

use super::super::address::Endpoint;
use super::super::mistake::Mistakes;
use super::super::plan::{ConnectionPlan, ProtocolPlan};
use super::super::spec::ConnectionSpec;
use super::guest::{Parts, check_own_address, check_policy, protocol_of};
use crate::protocol::Grant;
use crate::protocol::ip::Family;

pub(super) fn connections(parts: &Parts<'_>, protocols: &[ProtocolPlan]) -> Vec<ConnectionPlan> {
    let Parts { node, spec, mistakes, .. } = parts;
    let mut names: BTreeSet<&str> =
        spec.protocols.iter().map(|protocol| protocol.name.get_ref().as_str()).collect();
    if spec.protocols.is_empty() {
        names.extend(["ipv4", "ipv6"]);
    }
    names.extend(spec.listeners.iter().map(|listener| listener.name.get_ref().as_str()));
    let mut plans = Vec::new();
    for connection in &spec.connections {
        let name = connection.name.get_ref();
        if !names.insert(name) {
            let message = format!("`{name}` names two descriptors of {}", node.what);
            let help = "connections, listeners and protocols share one space of names: the guest tells them apart by \
                        nothing else";
            mistakes.add(connection.name.span(), message, help);
        }
        if let Some(bind) = &connection.bind {
            check_own_address(parts, bind);
        }
        check_peer(connection, mistakes);
        let (wanted, address) = (&connection.protocol, &connection.address);
        let Some(protocol) = protocol_of(parts, protocols, wanted, address, ["address", "connect to"]) else {
            continue;
        };
        if let Some(bind) = &connection.bind {
            check_policy(protocol, bind, mistakes);
        }
        check_reach(protocol, address, mistakes);
        plans.push(ConnectionPlan {
            name: name.clone(),
            protocol: protocol.name.clone(),
            bind: match &connection.bind {
                Some(bind) => bind.get_ref().to_string(),
                None => anything(&protocol.grant).to_owned(),
            },
            address: address.get_ref().to_string(),
            kind: connection.kind,
            retry: connection.retry.unwrap_or(Duration::ZERO),
        });
    }
    plans
}

/// What is bound where it does not matter.
fn anything(grant: &Grant) -> &'static str {
    match grant.base() {
        base if base.takes(Family::V6) => "[::]:0",
        base if base.takes(Family::V4) => "0.0.0.0:0",
        _ => "",
    }
}

/// A peer has a port; and its own side is of the same kind.
fn check_peer(connection: &ConnectionSpec, mistakes: &Mistakes) {
    let address = connection.address.get_ref();
    if address.is_open() {
        let help = "name the port that the peer listens on";
        mistakes.add(connection.address.span(), format!("address: {address} has port 0"), help);
    }
    if let Some(bind) = &connection.bind
        && !matches!(address, Endpoint::Name(_))
        && bind.get_ref().kind() != address.kind()
    {
        let message = format!("bind: {} is of another family than {address}", bind.get_ref());
        mistakes.add(bind.span(), message, "leave `bind` out for any address of the right one");
    }
}

/// What stands over another protocol has its peers reached by that one, perhaps by another way.
fn check_reach(protocol: &ProtocolPlan, address: &Spanned<Endpoint>, mistakes: &Mistakes) {
    let allowed = match (&protocol.grant, address.get_ref()) {
        // Where the lab ends is known when it runs.
        (Grant::Ip(settings), Endpoint::Ip(peer)) => {
            settings.policy.may_connect(None, &[], *peer, &|_, _| false, |_| true).is_ok()
        }
        (Grant::Unix(settings), Endpoint::Unix(path)) => settings.may_connect(path).is_ok(),
        (Grant::Ip(_) | Grant::Icmp(_) | Grant::Unix(_) | Grant::Over { .. }, _) => true,
    };
    if !allowed {
        let (name, peer) = (&protocol.name, address.get_ref());
        let message = format!("address: the policy of protocol `{name}` does not allow {peer}");
        mistakes.add(address.span(), message, format!("add it to the `connect` of protocol `{name}`"));
    }
}
