//! Zones: what a server knows, and how a name is found in them (RFC 1034, 4.3.2, and RFC 4592 for wildcards).

use std::collections::BTreeMap;

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};

/// Records of one zone, all of class IN. Delegations are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    origin: LowerName,
    /// Every name there is, those without records of their own included that only lead to others.
    nodes: BTreeMap<LowerName, Vec<Record>>,
    /// Seconds that the absence of a name or a type may be remembered (RFC 2308).
    negative_ttl: u32,
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
        Zone { origin, nodes, negative_ttl }
    }

    pub fn origin(&self) -> &LowerName {
        &self.origin
    }

    /// Adds a record. Nothing is done with one whose name is not in the zone.
    pub fn insert(&mut self, record: Record) {
        let name = LowerName::new(&record.name);
        if !self.origin.zone_of(&name) {
            return;
        }
        let mut above = name.base_name();
        while self.origin.zone_of(&above) && !self.nodes.contains_key(&above) {
            self.nodes.insert(above.clone(), Vec::new());
            above = above.base_name();
        }
        self.nodes.entry(name).or_default().push(record);
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
    use hickory_proto::rr::rdata::A;

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
