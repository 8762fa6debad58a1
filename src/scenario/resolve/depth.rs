//! How many layers stand below each protocol object of a guest, reckoned without recursion: a scenario may have any number.

use std::collections::BTreeMap;

use super::super::spec::{KindSpec, ProtocolSpec};

/// What a protocol object comes to, from itself down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// So many layers over the node's stack, itself among them; 0 is one that stands there by itself.
    Layers(usize),
    /// It is part of a round.
    Round,
    /// It stands on something that has a mistake, or is not there.
    Nowhere,
}

pub(super) type Depths<'a> = BTreeMap<&'a str, Depth>;

/// Name of what a protocol stands on, if it does.
pub(super) fn over(protocol: &ProtocolSpec) -> Option<&str> {
    match protocol.kind.as_ref()? {
        KindSpec::Ip { .. } | KindSpec::Icmp { .. } | KindSpec::Unix(_) => None,
        KindSpec::Layer { over, .. } | KindSpec::Tls { over, .. } | KindSpec::Quic { over, .. } => {
            Some(over.get_ref())
        }
    }
}

/// Of each protocol by its name.
pub(super) fn depths(list: &[ProtocolSpec]) -> Depths<'_> {
    let named: BTreeMap<&str, &ProtocolSpec> =
        list.iter().map(|protocol| (protocol.name.get_ref().as_str(), protocol)).collect();
    let mut depths = Depths::new();
    for protocol in list {
        // From here down to what is known, each with its place on the way.
        let (mut way, mut places, mut name) = (Vec::new(), BTreeMap::new(), protocol.name.get_ref().as_str());
        let mut found = loop {
            if let Some(known) = depths.get(name) {
                // Who only leads to a round is not part of it.
                break if *known == Depth::Round { Depth::Nowhere } else { *known };
            }
            let Some(protocol) = named.get(name).filter(|protocol| protocol.kind.is_some()) else {
                break Depth::Nowhere;
            };
            if let Some(place) = places.insert(name, way.len()) {
                depths.extend(way.drain(place..).map(|name| (name, Depth::Round)));
                break Depth::Nowhere;
            }
            way.push(name);
            match over(protocol) {
                Some(below) => name = below,
                None => {
                    way.pop();
                    depths.insert(name, Depth::Layers(0));
                    break Depth::Layers(0);
                }
            }
        };
        for name in way.into_iter().rev() {
            found = match found {
                Depth::Layers(layers) => Depth::Layers(layers + 1),
                Depth::Round | Depth::Nowhere => Depth::Nowhere,
            };
            depths.insert(name, found);
        }
    }
    depths
}
