//! Zones: what a server knows, and how a name is found in them (RFC 1034, 4.3.2, and RFC 4592 for wildcards).

use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};

/// Records of one zone, all of class IN. Delegations are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    origin: LowerName,
    /// Every name there is, those without records of their own included that only lead to others.
    nodes: BTreeMap<LowerName, Vec<Record>>,
    /// Names that lead to machines of the lab, wherever those are: by the machine's number in the world.
    hosts: BTreeMap<usize, Vec<Owner>>,
    /// Seconds that the absence of a name or a type may be remembered (RFC 2308).
    negative_ttl: u32,
}

/// A name that leads to a machine.
#[derive(Clone, Debug, PartialEq)]
struct Owner {
    name: Name,
    ttl: u32,
    /// Where the machine is.
    addresses: Vec<IpAddr>,
}

fn address_record(owner: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(owner.clone(), ttl, data)
}

/// What a zone has for a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'a> {
    /// The name's records, of all types: there may be none. A wildcard's bear the wildcard's name.
    Records(&'a [Record]),
    /// There is no such name.
    Nothing,
}

impl Zone {
    pub fn new(origin: &Name, negative_ttl: u32) -> Zone {
        let origin = LowerName::new(origin);
        let nodes = BTreeMap::from([(origin.clone(), Vec::new())]);
        Zone { origin, nodes, hosts: BTreeMap::new(), negative_ttl }
    }

    /// Adds a name that leads to a machine of the lab, which is at `addresses` at first.
    pub fn insert_host(&mut self, owner: &Name, ttl: u32, node: usize, addresses: Vec<IpAddr>) {
        self.insert_name(LowerName::new(owner));
        addresses.iter().for_each(|&address| self.insert(address_record(owner, ttl, address)));
        self.hosts.entry(node).or_default().push(Owner { name: owner.clone(), ttl, addresses });
    }

    /// A machine is at other addresses now. A name that leads to several machines has theirs before its new ones.
    fn place(&mut self, node: usize, addresses: &[IpAddr]) {
        for owner in self.hosts.get_mut(&node).into_iter().flatten() {
            let Some(records) = self.nodes.get_mut(&LowerName::new(&owner.name)) else { continue };
            for gone in std::mem::replace(&mut owner.addresses, addresses.to_vec()) {
                let gone = address_record(&owner.name, owner.ttl, gone);
                if let Some(at) = records.iter().position(|record| *record == gone) {
                    records.remove(at);
                }
            }
            records.extend(addresses.iter().map(|&address| address_record(&owner.name, owner.ttl, address)));
        }
    }

    pub fn origin(&self) -> &LowerName {
        &self.origin
    }

    /// Adds a record. Nothing is done with one whose name is not in the zone.
    pub fn insert(&mut self, record: Record) {
        let name = LowerName::new(&record.name);
        if self.insert_name(name.clone()) {
            self.nodes.entry(name).or_default().push(record);
        }
    }

    /// Adds a name, and those above it; false if it is not in the zone.
    fn insert_name(&mut self, name: LowerName) -> bool {
        if !self.origin.zone_of(&name) {
            return false;
        }
        let mut above = name;
        while self.origin.zone_of(&above) && !self.nodes.contains_key(&above) {
            self.nodes.insert(above.clone(), Vec::new());
            above = above.base_name();
        }
        true
    }

    /// `name` must be in the zone.
    pub fn find(&self, name: &LowerName) -> Found<'_> {
        if let Some(records) = self.nodes.get(name) {
            return Found::Records(records);
        }
        let mut encloser = name.base_name();
        while !self.nodes.contains_key(&encloser) {
            if encloser.is_root() {
                return Found::Nothing;
            }
            encloser = encloser.base_name();
        }
        let wildcard = Name::from(encloser).prepend_label("*").map(|name| LowerName::new(&name));
        match wildcard.ok().and_then(|wildcard| self.nodes.get(&wildcard)) {
            Some(records) => Found::Records(records),
            None => Found::Nothing,
        }
    }

    /// The record that comes with what is not there (RFC 2308, 3).
    pub fn start_of_authority(&self) -> Record {
        let origin = Name::from(self.origin.clone());
        let contact = origin.prepend_label("hostmaster").unwrap_or_else(|_| origin.clone());
        // Serial, refresh, retry, expire: nobody transfers the zone.
        let data = SOA::new(origin.clone(), contact, 1, 86_400, 7_200, 604_800, self.negative_ttl);
        Record::from_rdata(origin, self.negative_ttl, RData::SOA(data))
    }
}

/// The zones of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zones(Vec<Zone>);

impl Zones {
    pub fn new(zones: Vec<Zone>) -> Zones {
        Zones(zones)
    }

    /// A machine of the lab, by its number in the world, is at other addresses now.
    pub fn place(&mut self, node: usize, addresses: &[IpAddr]) {
        self.0.iter_mut().for_each(|zone| zone.place(node, addresses));
    }

    /// The zone that a name is in: of several, the lowest.
    pub fn zone_of(&self, name: &LowerName) -> Option<&Zone> {
        let of_name = self.0.iter().filter(|zone| zone.origin.zone_of(name));
        of_name.max_by_key(|zone| zone.origin.num_labels())
    }
}

/// The alias that stands among a name's records.
pub fn alias(records: &[Record]) -> Option<&Record> {
    records.iter().find(|record| record.record_type() == RecordType::CNAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::fully_qualified;

    fn zone() -> Zone {
        let mut zone = Zone::new(&fully_qualified("example.test").unwrap(), 60);
        for (name, last) in [("a.b.c", 1), ("*.c", 2), ("www", 3)] {
            let name = fully_qualified(&format!("{name}.Example.test")).unwrap();
            zone.insert(Record::from_rdata(name, 9, RData::A(A::new(10, 0, 0, last))));
        }
        zone
    }

    fn find(name: &str) -> Option<Vec<String>> {
        match zone().find(&LowerName::new(&fully_qualified(name).unwrap())) {
            Found::Records(records) => Some(records.iter().map(|record| record.data.to_string()).collect()),
            Found::Nothing => None,
        }
    }

    #[test]
    fn a_wildcard_covers_what_its_closest_encloser_does_not_have() {
        assert_eq!(find("www.example.test"), Some(vec!["10.0.0.3".into()]));
        assert_eq!(find("WWW.EXAMPLE.TEST"), Some(vec!["10.0.0.3".into()]));
        assert_eq!(find("x.c.example.test"), Some(vec!["10.0.0.2".into()]));
        assert_eq!(find("x.y.c.example.test"), Some(vec!["10.0.0.2".into()]));
        // It is there, though it has nothing: no wildcard covers it, or what is below it.
        assert_eq!(find("b.c.example.test"), Some(vec![]));
        assert_eq!(find("x.b.c.example.test"), None);
        assert_eq!(find("x.example.test"), None);
        assert_eq!(find("x.www.example.test"), None);
        assert_eq!(find("*.c.example.test"), Some(vec!["10.0.0.2".into()]));
    }

    #[test]
    fn a_machine_s_names_follow_it() {
        let mut zone = zone();
        let name = fully_qualified("both.example.test").unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        zone.insert(Record::from_rdata(name.clone(), 9, RData::A(A::new(10, 0, 0, 9))));
        zone.insert_host(&name, 9, 0, vec![ip("10.0.0.7")]);
        zone.insert_host(&name, 9, 1, vec![]);
        zone.insert_host(&fully_qualified("one.example.test").unwrap(), 9, 1, vec![]);
        let mut zones = Zones::new(vec![zone]);
        let find = |zones: &Zones, name: &str| {
            let name = LowerName::new(&fully_qualified(name).unwrap());
            match zones.zone_of(&name).unwrap().find(&name) {
                Found::Records(records) => records.iter().map(|it| it.data.to_string()).collect::<Vec<_>>(),
                Found::Nothing => vec!["nothing".to_owned()],
            }
        };
        assert_eq!(find(&zones, "one.example.test"), [""; 0], "it is there, and has no address yet");
        zones.place(1, &[ip("10.0.0.5"), ip("fd00::5")]);
        zones.place(0, &[ip("10.0.0.8")]);
        assert_eq!(find(&zones, "both.example.test"), ["10.0.0.9", "10.0.0.5", "fd00::5", "10.0.0.8"]);
        zones.place(1, &[]);
        assert_eq!(find(&zones, "both.example.test"), ["10.0.0.9", "10.0.0.8"]);
        assert_eq!(find(&zones, "one.example.test"), [""; 0]);
    }

    #[test]
    fn the_lowest_zone_has_the_name() {
        let zone = |name: &str| Zone::new(&fully_qualified(name).unwrap(), 1);
        let zones = Zones::new(vec![zone("test"), zone("example.test")]);
        let origin = |name: &str| {
            let name = LowerName::new(&fully_qualified(name).unwrap());
            zones.zone_of(&name).map(|zone| zone.origin().to_string())
        };
        assert_eq!(origin("a.example.test").as_deref(), Some("example.test."));
        assert_eq!(origin("notexample.test").as_deref(), Some("test."));
        assert_eq!(origin("example.org"), None);
    }
}
