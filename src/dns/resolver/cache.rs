//! Answers that may be kept: addresses by their time to live, and their absence (RFC 2308).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Family;
use crate::dns::name::HostName;
use crate::time::Instant;

const ENTRIES_MAX: usize = 512;
/// However long a server says.
const TTL_MAX: Duration = Duration::from_secs(86_400);
/// RFC 2308, section 5.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(3 * 3600);

#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<(HostName, Family), Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// None: there are none.
    pub addresses: Vec<IpAddr>,
    /// What the name is an alias of.
    pub aliases: Vec<HostName>,
    pub until: Instant,
}

impl Cache {
    pub fn get(&mut self, now: Instant, name: &HostName, family: Family) -> Option<&Entry> {
        let key = (name.clone(), family);
        if self.entries.get(&key)?.until <= now {
            self.entries.remove(&key);
        }
        self.entries.get(&key)
    }

    /// Whether a name that fits is known to lead to `address`, by itself or as an alias.
    pub fn leads(&self, now: Instant, fits: impl Fn(&HostName) -> bool, address: IpAddr) -> bool {
        self.entries.iter().any(|((name, _), entry)| {
            entry.until > now
                && entry.addresses.contains(&address)
                && (fits(name) || entry.aliases.iter().any(&fits))
        })
    }

    /// Keeps an answer; past the bound, in the place of what would be gone first.
    pub fn insert(
        &mut self,
        now: Instant,
        key: (HostName, Family),
        (addresses, aliases): (Vec<IpAddr>, Vec<HostName>),
        ttl: Duration,
    ) {
        let ttl = ttl.min(if addresses.is_empty() { NEGATIVE_TTL_MAX } else { TTL_MAX });
        if ttl.is_zero() {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone());
            first.map(|key| self.entries.remove(&key));
        }
        self.entries.insert(key, Entry { addresses, aliases, until: now + ttl });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end_and_are_bounded() {
        let mut cache = Cache::default();
        let name = |n: usize| HostName::parse(&format!("n{n}.test")).unwrap();
        let at = |seconds| Instant::START + Duration::from_secs(seconds);
        for n in 0..2 * ENTRIES_MAX {
            let ttl = Duration::from_secs(10 + n as u64);
            cache.insert(at(0), (name(n), Family::V4), Default::default(), ttl);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        let last = name(2 * ENTRIES_MAX - 1);
        assert!(cache.get(at(1), &name(0), Family::V4).is_none(), "it would have ended first");
        assert!(cache.get(at(1), &last, Family::V4).is_some());
        assert!(cache.get(at(1), &last, Family::V6).is_none());
        assert!(cache.get(at(2 * ENTRIES_MAX as u64 + 9), &last, Family::V4).is_none());
        cache.insert(at(0), (name(0), Family::V4), Default::default(), Duration::ZERO);
        assert!(cache.get(at(0), &name(0), Family::V4).is_none());
    }

    #[test]
    fn what_is_remembered_tells_whose_an_address_is() {
        let mut cache = Cache::default();
        let name = |text: &str| HostName::parse(text).unwrap();
        let at = |seconds| Instant::START + Duration::from_secs(seconds);
        let address = IpAddr::from([192, 0, 2, 7]);
        let known = (vec![address], vec![name("real.test")]);
        cache.insert(at(0), (name("www.test"), Family::V4), known, Duration::from_secs(10));
        let leads = |seconds, text: &str| cache.leads(at(seconds), |other| *other == name(text), address);
        assert!(leads(1, "www.test") && leads(1, "real.test"));
        assert!(!leads(1, "other.test") && !leads(10, "www.test"));
        assert!(!cache.leads(at(1), |_| true, IpAddr::from([192, 0, 2, 8])));
    }
}
