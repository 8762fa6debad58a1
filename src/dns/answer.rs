//! A query's bytes in, an answer's bytes out: what a server says, with no thought of how it is carried.
//!
//! Authoritative for its zones, and refuses the rest (RFC 1034, 4.3.2; RFC 8906 for what it does not know).

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{DNSClass, LowerName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::zone::{Found, Zones, alias};

/// Aliases that one answer follows.
const ALIASES_MAX: usize = 8;
/// Bytes of an answer over UDP to one who does not say what it takes (RFC 1035, 2.3.4).
pub const DATAGRAM_BYTES_MIN: u16 = 512;
/// The most over UDP, whatever is asked for: it fits every IPv6 path in one packet (RFC 9715).
pub const DATAGRAM_BYTES_MAX: u16 = 1232;

/// How an answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Cut to what the asker takes, and to this many bytes.
    Datagram(u16),
    Stream,
}

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(Vec<u8>),
    /// It was told so (`FORMERR`).
    Malformed(Vec<u8>),
    /// Not worth an answer: no header, or itself an answer, which might go on for ever between two servers.
    Ignored,
}

pub fn answer(zones: &Zones, query: &[u8], transport: Transport) -> Outcome {
    let Ok(Header { metadata, .. }) = Header::read(&mut BinDecoder::new(query)) else {
        return Outcome::Ignored;
    };
    if metadata.message_type == MessageType::Response {
        return Outcome::Ignored;
    }
    let reply = |code| {
        let mut message = Message::response(metadata.id, metadata.op_code);
        message.metadata = Metadata::response_from_request(&metadata);
        message.metadata.response_code = code;
        message
    };
    if metadata.op_code != OpCode::Query {
        return Outcome::Answered(encode(reply(ResponseCode::NotImp), None, transport));
    }
    let question = Message::from_vec(query).ok().filter(|message| message.queries.len() == 1);
    let Some(asked) = question else {
        return Outcome::Malformed(encode(reply(ResponseCode::FormErr), None, transport));
    };
    let mut message = reply(ResponseCode::NoError);
    let edns = asked.edns.as_ref();
    if edns.is_some_and(|edns| edns.version() > 0) {
        // RFC 6891, 6.1.3.
        message.metadata.response_code = ResponseCode::BADVERS;
    } else {
        resolve(zones, &asked.queries[0], &mut message);
    }
    message.queries = asked.queries;
    Outcome::Answered(encode(message, edns, transport))
}

/// Fills in what the zones have for the question.
fn resolve(zones: &Zones, question: &Query, message: &mut Message) {
    let transfer = matches!(question.query_type, RecordType::AXFR | RecordType::IXFR);
    let class = matches!(question.query_class, DNSClass::IN | DNSClass::ANY);
    let mut name = question.name.clone();
    if transfer || !class || zones.zone_of(&LowerName::new(&name)).is_none() {
        message.metadata.response_code = ResponseCode::Refused;
        return;
    }
    message.metadata.authoritative = true;
    for _ in 0..=ALIASES_MAX {
        let lower = LowerName::new(&name);
        // An alias that leads out of what is known here: the asker follows it.
        let Some(zone) = zones.zone_of(&lower) else { return };
        let Found::Records(records) = zone.find(&lower) else {
            message.metadata.response_code = ResponseCode::NXDomain;
            message.authorities.push(zone.start_of_authority());
            return;
        };
        // The name as it was asked for, for those that look at its letters' case.
        let named = |record: &Record| Record::from_rdata(name.clone(), record.ttl, record.data.clone());
        let wanted = |record: &&Record| match question.query_type {
            RecordType::ANY => true,
            kind => record.record_type() == kind,
        };
        let start =
            Some(zone.start_of_authority()).filter(|record| lower == *zone.origin() && wanted(&record));
        let before = message.answers.len();
        message.answers.extend(records.iter().filter(wanted).map(named).chain(start));
        if message.answers.len() > before {
            return;
        }
        let Some(record) = alias(records) else {
            message.authorities.push(zone.start_of_authority());
            return;
        };
        message.answers.push(named(record));
        let RData::CNAME(CNAME(target)) = &record.data else { return };
        name = target.clone();
    }
    // Aliases in a circle.
    message.metadata.response_code = ResponseCode::ServFail;
    message.answers.clear();
}

/// As bytes, within what the asker takes: what does not fit is left out, and the truncation bit says so.
fn encode(mut message: Message, asked: Option<&Edns>, transport: Transport) -> Vec<u8> {
    if let Some(asked) = asked {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_BYTES_MAX);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        message.set_edns(edns);
    }
    let bytes_max = match transport {
        Transport::Stream => usize::from(u16::MAX),
        Transport::Datagram(most) => {
            let taken = asked.map_or(DATAGRAM_BYTES_MIN, Edns::max_payload);
            usize::from(taken.max(DATAGRAM_BYTES_MIN).min(most))
        }
    };
    // A question of at most 255 bytes without anything else always fits.
    let whole = message.to_vec().ok().filter(|bytes| bytes.len() <= bytes_max);
    whole.or_else(|| message.truncate().to_vec().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, TXT};

    use super::*;
    use crate::dns::name::fully_qualified;
    use crate::dns::zone::Zone;

    fn zones() -> Zones {
        let name = |name: &str| fully_qualified(name).unwrap();
        let mut zone = Zone::new(&name("test"), 60);
        let mut add = |owner: &str, data: RData| zone.insert(Record::from_rdata(name(owner), 300, data));
        add("a.test", RData::A(A::new(10, 0, 0, 1)));
        add("alias.test", RData::CNAME(CNAME(name("b.test"))));
        add("b.test", RData::CNAME(CNAME(name("a.test"))));
        add("round.test", RData::CNAME(CNAME(name("about.test"))));
        add("about.test", RData::CNAME(CNAME(name("round.test"))));
        add("away.test", RData::CNAME(CNAME(name("example.org"))));
        (0..12).for_each(|n| add("long.test", RData::TXT(TXT::new(vec![n.to_string().repeat(60)]))));
        Zones::new(vec![zone])
    }

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(fully_qualified(name).unwrap(), kind));
        message
    }

    fn ask(message: &Message, transport: Transport) -> Message {
        match answer(&zones(), &message.to_vec().unwrap(), transport) {
            Outcome::Answered(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Code, answers, authorities.
    fn told(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>, usize) {
        let message = ask(&question(name, kind), Transport::Stream);
        let answers = message.answers.iter().map(|record| format!("{} {}", record.name, record.data));
        (message.metadata.response_code, answers.collect(), message.authorities.len())
    }

    #[test]
    fn answers() {
        use ResponseCode::{NXDomain, NoError, Refused, ServFail};
        assert_eq!(told("A.test", RecordType::A), (NoError, vec!["A.test. 10.0.0.1".into()], 0));
        assert_eq!(told("a.test", RecordType::AAAA), (NoError, vec![], 1));
        assert_eq!(told("c.test", RecordType::A), (NXDomain, vec![], 1));
        let chain = ["alias.test. b.test.", "b.test. a.test.", "a.test. 10.0.0.1"].map(String::from);
        assert_eq!(told("alias.test", RecordType::A), (NoError, chain.to_vec(), 0));
        assert_eq!(told("alias.test", RecordType::CNAME), (NoError, chain[..1].to_vec(), 0));
        assert_eq!(told("round.test", RecordType::A), (ServFail, vec![], 0));
        assert_eq!(told("away.test", RecordType::A), (NoError, vec!["away.test. example.org.".into()], 0));
        assert_eq!(told("example.org", RecordType::A), (Refused, vec![], 0));
        assert_eq!(told("test", RecordType::AXFR), (Refused, vec![], 0));
        assert_eq!(told("test", RecordType::SOA).1.len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let mut message = question("long.test", RecordType::TXT);
        let cut = ask(&message, Transport::Datagram(DATAGRAM_BYTES_MAX));
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        assert_eq!(cut.queries, message.queries);
        assert_eq!(ask(&message, Transport::Stream).answers.len(), 12);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        message.set_edns(edns);
        assert_eq!(ask(&message, Transport::Datagram(DATAGRAM_BYTES_MAX)).answers.len(), 12);
        assert!(ask(&message, Transport::Datagram(DATAGRAM_BYTES_MIN)).metadata.truncation);
    }

    #[test]
    fn what_is_no_question_is_told_so_or_left_alone() {
        let outcome = |message: &Message| answer(&zones(), &message.to_vec().unwrap(), Transport::Stream);
        let mut none = question("a.test", RecordType::A);
        none.queries.clear();
        assert!(matches!(outcome(&none), Outcome::Malformed(_)));
        assert_eq!(outcome(&question("a.test", RecordType::A).into_response()), Outcome::Ignored);
        assert_eq!(answer(&zones(), &[0; 11], Transport::Stream), Outcome::Ignored);
        let mut update = question("a.test", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        assert!(matches!(outcome(&update), Outcome::Answered(_)));
    }
}
