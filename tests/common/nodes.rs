//! The nodes of a lab's two guests, without the guests.

use std::path::Path;

use guestnet::node::{Node, ObjectId};
use guestnet::protocol::Making;
use guestnet::protocol::tls::provider::Entropy;
use guestnet::protocol::tls::supplies::Supplies;
use guestnet::rng::Seed;
use guestnet::scenario;

/// Each with its protocol object of that name.
pub fn two(text: &str, protocol: &str) -> [(Node, ObjectId); 2] {
    let plan = scenario::parse(text, Path::new("pair.toml")).unwrap_or_else(|error| panic!("{error:?}"));
    let mut supplies = Supplies::new(Entropy::Seed(Seed(7)), plan.epoch, false);
    plan.authorities.iter().for_each(|authority| supplies.add_authority(authority));
    let [first, second] = &plan.guests[..] else { panic!("two guests") };
    [first, second].map(|guest| {
        let rng = |what: &str| Seed(7).fork(&format!("{what}:{}", guest.name));
        let mut node = Node::new(&guest.interfaces, &guest.routes, rng("stack"), rng("guest"));
        let found = guest.protocols.iter().find(|found| found.name == protocol).expect("one of that name");
        let making = Making { supplies: &supplies, label: &guest.name, programs: 0 };
        let object = node.grant(found.grant.clone().into_protocol(making).expect("a protocol object"));
        (node, object)
    })
}
