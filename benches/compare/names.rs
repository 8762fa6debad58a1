//! A name of the lab's own, from its text to addresses in the order to try them in: what a guest's `connect` by name does
//! before it connects. The peers are a hash map of as many names, and glibc's getaddrinfo for a name in /etc/hosts.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use guestnet::dns::name::HostName;
use guestnet::dns::resolver::{Families, LabHost, Names, Progress, Resolver, ResolverConfig, Whom, sort};
use guestnet::network::InterfaceConfig;
use guestnet::node::task::Handle;
use guestnet::node::{Node, Waiter};
use guestnet::rng::Seed;
use smoltcp::wire::EthernetAddress;

/// The resolver of a guest's protocol object, in a lab of many guests with an address of each family.
pub struct Lab {
    node: Node,
    resolver: Handle<Resolver>,
    texts: Vec<String>,
    map: HashMap<String, Vec<IpAddr>>,
}

impl Lab {
    pub fn new(guests: u32) -> Lab {
        let addresses = |number: u32| -> Vec<IpAddr> {
            let v6 = Ipv6Addr::from_bits(0xFD00 << 112 | u128::from(number));
            vec![v6.into(), Ipv4Addr::from_bits(10 << 24 | number).into()]
        };
        let texts: Vec<String> = (1..=guests).map(|number| format!("client-{number}")).collect();
        let each = || texts.iter().cloned().zip((1..).map(addresses));
        let map: HashMap<_, _> = each().collect();
        let lab: BTreeMap<_, _> = each()
            .zip(0..)
            .map(|((text, given), node)| (HostName::parse(&text).expect("a name"), LabHost { node, given }))
            .collect();
        let interface = InterfaceConfig {
            name: "eth0".into(),
            mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
            addresses: ["10.0.0.1/8", "fd00::1/64"].map(|text| text.parse().expect("an address")).to_vec(),
            mtu: 1500,
        };
        let rng = |label: &str| Seed(1).fork(label);
        let mut node = Node::new(&[interface], &[], rng("stack"), rng("guest"));
        let names = Arc::new(Names { lab, ..Names::default() });
        let resolver =
            node.spawn(Resolver::new(Arc::new(ResolverConfig { names, ..ResolverConfig::default() })));
        Lab { node, resolver, texts, map }
    }

    /// Every name of the lab in turn, in an order that no cache foresees.
    fn texts(&self, count: u64) -> impl Iterator<Item = usize> + use<> {
        let len = self.texts.len() as u64;
        (0..count).map(move |number| (number * 7_919 % len) as usize)
    }

    /// Seconds for a lookup.
    pub fn ours(&mut self, count: u64) -> f64 {
        let (order, me) = (self.texts(count), self.resolver);
        let start = Instant::now();
        for number in order {
            let name = HostName::parse(&self.texts[number]).expect("a name");
            let found = self.node.with_task(me, |resolver, cx| {
                match resolver.look_up(cx, me, &name, Families::BOTH, Whom::Anybody, Waiter::Guest) {
                    Progress::Done(Ok(mut addresses)) => {
                        sort(cx, &mut addresses);
                        addresses.len()
                    }
                    Progress::Done(Err(failure)) => panic!("{}", failure.why),
                    Progress::Pending(_) => panic!("{name} was asked for"),
                }
            });
            assert_eq!(black_box(found), Some(2));
        }
        start.elapsed().as_secs_f64() / count as f64
    }

    pub fn hash_map(&self, count: u64) -> f64 {
        let start = Instant::now();
        for number in self.texts(count) {
            let found = self.map.get(&self.texts[number]).cloned();
            assert_eq!(black_box(found).expect("a name").len(), 2);
        }
        start.elapsed().as_secs_f64() / count as f64
    }
}

/// Seconds for localhost, which /etc/hosts has.
pub fn getaddrinfo(count: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        let found = ("localhost", 80).to_socket_addrs().expect("localhost");
        assert!(black_box(found).next().is_some());
    }
    start.elapsed().as_secs_f64() / count as f64
}
