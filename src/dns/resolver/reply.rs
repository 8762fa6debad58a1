//! What a server's bytes say to a question, if they are an answer to it at all.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::Family;

/// Aliases that one question is followed through.
pub const ALIASES_MAX: usize = 8;
/// Addresses that are looked at of one answer.
const ADDRESSES_MAX: usize = 16;

#[derive(Clone, Debug)]
pub struct Question {
    pub id: u16,
    pub name: Name,
    pub family: Family,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To another question, or to none: whoever sent it, the answer may still come.
    Foreign,
    /// The rest is to be had over TCP.
    Truncated,
    /// The server does not say.
    Failed(ResponseCode),
    Addresses {
        addresses: Vec<IpAddr>,
        /// What the name asked for is an alias of, in turn.
        aliases: Vec<Name>,
        ttl: Duration,
    },
    /// After aliases, of which the last is this, a name of which the answer says nothing.
    Alias { target: Name, aliases: Vec<Name>, ttl: Duration },
    /// There is no such name, or it has no such address.
    Nothing { ttl: Duration },
    /// More aliases than anybody needs.
    Endless,
}

impl Question {
    fn record_type(&self) -> RecordType {
        match self.family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        }
    }

    /// As it is sent (RFC 1035, 4.1), recursion desired.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.record_type()));
        message.to_vec().ok()
    }

    /// RFC 5452, section 9.1, has what must be the same; that the source is the server is the flow's to see.
    fn is_answered_by(&self, message: &Message) -> bool {
        let [query] = &message.queries[..] else { return false };
        message.metadata.id == self.id
            && message.metadata.message_type == MessageType::Response
            && message.metadata.op_code == OpCode::Query
            && query.query_type == self.record_type()
            && query.query_class == DNSClass::IN
            && query.name == self.name
    }

    pub fn judge(&self, bytes: &[u8]) -> Reply {
        let Ok(message) = Message::from_vec(bytes) else { return Reply::Foreign };
        if !self.is_answered_by(&message) {
            return Reply::Foreign;
        }
        if message.metadata.truncation {
            return Reply::Truncated;
        }
        match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => self.follow(&message),
            code => Reply::Failed(code),
        }
    }

    /// Goes from the name asked for over aliases to its addresses. Records of any other name are not looked at.
    fn follow(&self, message: &Message) -> Reply {
        let mut name = &self.name;
        let mut seconds = u32::MAX;
        let mut aliases: Vec<Name> = Vec::new();
        while aliases.len() <= ALIASES_MAX {
            let own = || message.answers.iter().filter(|record| is_of(record, name));
            let wanted = || own().filter_map(|record| Some((self.address(record)?, record.ttl)));
            if let Some(ttl) = wanted().map(|(_, ttl)| ttl).min() {
                let addresses = wanted().map(|(address, _)| address).take(ADDRESSES_MAX).collect();
                return Reply::Addresses { addresses, aliases, ttl: ttl_of(seconds.min(ttl)) };
            }
            let alias = own().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, record.ttl)),
                _ => None,
            });
            match alias {
                Some((target, ttl)) => {
                    (name, seconds) = (target, seconds.min(ttl));
                    aliases.push(target.clone());
                }
                None => return nothing_more(message, name, aliases, seconds),
            }
        }
        Reply::Endless
    }

    fn address(&self, record: &Record) -> Option<IpAddr> {
        match (&record.data, self.family) {
            (RData::A(address), Family::V4) => Some(address.0.into()),
            (RData::AAAA(address), Family::V6) => Some(address.0.into()),
            _ => None,
        }
    }
}

fn is_of(record: &Record, name: &Name) -> bool {
    record.dns_class == DNSClass::IN && record.name == *name
}

/// RFC 2181, section 8: what has its highest bit set is zero.
fn ttl_of(seconds: u32) -> Duration {
    Duration::from_secs(if seconds > i32::MAX as u32 { 0 } else { seconds.into() })
}

/// Neither addresses nor an alias: with an authority's record that is known for good (RFC 2308, 2), and for how long.
fn nothing_more(message: &Message, name: &Name, aliases: Vec<Name>, seconds: u32) -> Reply {
    let authority = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(start) if record.name.zone_of(name) => Some(start.minimum.min(record.ttl)),
        _ => None,
    });
    let denied = message.metadata.response_code == ResponseCode::NXDomain;
    match authority {
        None if !aliases.is_empty() && !denied => {
            Reply::Alias { target: name.clone(), aliases, ttl: ttl_of(seconds) }
        }
        None => Reply::Nothing { ttl: Duration::ZERO },
        Some(ttl) => Reply::Nothing { ttl: ttl_of(ttl.min(seconds)) },
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};

    use super::*;
    use crate::dns::name::fully_qualified;

    fn name(text: &str) -> Name {
        fully_qualified(text).unwrap()
    }

    fn question() -> Question {
        Question { id: 7, name: name("a.test"), family: Family::V4 }
    }

    fn answer(records: &[(&str, u32, RData)]) -> Message {
        let mut message = Message::from_vec(&question().to_bytes().unwrap()).unwrap().into_response();
        for (owner, ttl, data) in records {
            message.add_answer(Record::from_rdata(name(owner), *ttl, data.clone()));
        }
        message
    }

    fn judge(message: &Message) -> Reply {
        question().judge(&message.to_vec().unwrap())
    }

    fn a(last: u8) -> RData {
        RData::A(A::new(10, 0, 0, last))
    }

    fn cname(target: &str) -> RData {
        RData::CNAME(CNAME(name(target)))
    }

    #[test]
    fn addresses_are_those_at_the_end_of_the_aliases_and_no_others() {
        let message = answer(&[
            ("x.test", 1, a(9)),
            ("b.test", 30, a(1)),
            ("A.test", 60, cname("b.TEST")),
            ("b.test", 20, a(2)),
            ("a.test", 5, RData::AAAA(AAAA::new(1, 0, 0, 0, 0, 0, 0, 1))),
        ]);
        let addresses = vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        assert_eq!(
            judge(&message),
            Reply::Addresses { addresses, aliases: vec![name("b.test")], ttl: Duration::from_secs(20) }
        );
        let ttl = Duration::from_secs(60);
        let alias = answer(&[("a.test", 60, cname("b.test"))]);
        assert_eq!(
            judge(&alias),
            Reply::Alias { target: name("b.test"), aliases: vec![name("b.test")], ttl }
        );
        let circle = answer(&[("a.test", 60, cname("b.test")), ("b.test", 60, cname("a.test"))]);
        assert_eq!(judge(&circle), Reply::Endless);
    }

    #[test]
    fn what_is_not_there_is_kept_as_long_as_the_authority_says() {
        let mut message = answer(&[]);
        message.metadata.response_code = ResponseCode::NXDomain;
        assert_eq!(judge(&message), Reply::Nothing { ttl: Duration::ZERO });
        let start = |owner: &str| {
            let data = SOA::new(name("ns.test"), name("h.test"), 1, 1, 1, 1, 40);
            Record::from_rdata(name(owner), 50, RData::SOA(data))
        };
        message.add_authority(start("test"));
        assert_eq!(judge(&message), Reply::Nothing { ttl: Duration::from_secs(40) });
        message.authorities[0] = start("elsewhere");
        assert_eq!(judge(&message), Reply::Nothing { ttl: Duration::ZERO });
    }

    #[test]
    fn answers_to_anything_else_are_foreign() {
        let good = answer(&[("a.test", 1, a(1))]);
        let changed = |change: fn(&mut Message)| {
            let mut message = good.clone();
            change(&mut message);
            judge(&message)
        };
        assert!(matches!(judge(&good), Reply::Addresses { .. }));
        assert_eq!(changed(|m| m.metadata.id = 8), Reply::Foreign);
        assert_eq!(changed(|m| m.metadata.message_type = MessageType::Query), Reply::Foreign);
        assert_eq!(changed(|m| m.queries.clear()), Reply::Foreign);
        assert_eq!(changed(|m| m.queries[0].query_type = RecordType::AAAA), Reply::Foreign);
        assert_eq!(changed(|m| m.queries[0].name = name("b.test")), Reply::Foreign);
        assert_eq!(question().judge(b"nonsense"), Reply::Foreign);
        assert_eq!(changed(|m| m.metadata.truncation = true), Reply::Truncated);
        let failed = changed(|m| m.metadata.response_code = ResponseCode::ServFail);
        assert_eq!(failed, Reply::Failed(ResponseCode::ServFail));
    }
}
