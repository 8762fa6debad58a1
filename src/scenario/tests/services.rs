//! Nodes with a program of guestnet's own.

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::RecordType;

use super::mistakes::mistakes;
use super::parse;
use crate::dns::answer::{Outcome, Transport, answer};
use crate::dns::name::{HostName, fully_qualified};
use crate::node::Whereabouts;
use crate::scenario::plan::{Plan, ServiceKind};

const LAB: &str = r#"
[guest.web]
module = "web.wasm"
[guest.db]
module = "db.wasm"
count = 2

[dns.ns]
ttl = "90s"
negative_ttl = "7s"
guests = "Lab.test"
[dns.ns.zone."example.test"]
"@" = { a = "10.9.0.1", txt = ["one", "two"] }
www = { guest = ["web", "db-1"], ttl = "1h" }
alias = { cname = "www" }
away = { cname = "www.example.org." }
"*.apps" = { a = ["10.9.0.2", "10.9.0.3"], aaaa = "fd09::2" }
"_http._tcp" = { srv = { weight = 5, port = 80, target = "www" } }
[dns.ns.zone."lab.test"]
web = { a = "10.9.0.9" }
"#;

/// What the plan's server has for a name: answers as zone files have them, or the authority's record.
fn asked(plan: &Plan, name: &str, kind: RecordType) -> String {
    let ServiceKind::Dns(zones) = &plan.services[0].kind else { panic!("{:?}", plan.services) };
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(fully_qualified(name).unwrap(), kind));
    let Outcome::Answered(bytes) = answer(zones, &message.to_vec().unwrap(), Transport::Stream) else {
        panic!("{name} was not answered");
    };
    let message = Message::from_vec(&bytes).unwrap();
    let records = message.all_sections().map(|record| record.to_string()).collect::<Vec<_>>().join("; ");
    format!("{} {records}", message.metadata.response_code)
}

#[test]
fn zones_have_what_is_written_and_what_guests_got() {
    let plan = parse(LAB).unwrap();
    let service = &plan.services[0];
    assert_eq!(service.interfaces[0].addresses[0].to_string(), "10.0.0.5/24", "after the guests");
    let asked = |name: &str, kind| asked(&plan, name, kind);
    insta::assert_snapshot!([
        asked("example.test", RecordType::A),
        asked("example.test", RecordType::TXT),
        asked("alias.example.test", RecordType::A),
        asked("away.example.test", RecordType::AAAA),
        asked("x.apps.example.test", RecordType::AAAA),
        asked("_http._tcp.example.test", RecordType::SRV),
        asked("db-0.lab.test", RecordType::AAAA),
        asked("web.lab.test", RecordType::A),
        asked("web.lab.test", RecordType::AAAA),
        asked("nobody.lab.test", RecordType::A),
    ].join("\n"), @r"
    No Error example.test. 90 IN A 10.9.0.1
    No Error example.test. 90 IN TXT one; example.test. 90 IN TXT two
    No Error alias.example.test. 90 IN CNAME www.example.test.; www.example.test. 3600 IN A 10.0.0.2; www.example.test. 3600 IN A 10.0.0.4
    No Error away.example.test. 90 IN CNAME www.example.org.
    No Error x.apps.example.test. 90 IN AAAA fd09::2
    No Error _http._tcp.example.test. 90 IN SRV 0 5 80 www.example.test.
    No Error db-0.lab.test. 90 IN AAAA fd00::3
    No Error web.lab.test. 90 IN A 10.9.0.9
    No Error lab.test. 7 IN SOA lab.test. hostmaster.lab.test. 1 86400 7200 604800 7
    Non-Existent Domain lab.test. 7 IN SOA lab.test. hostmaster.lab.test. 1 86400 7200 604800 7
    ");
}

#[test]
fn mistakes_in_zones() {
    let lab = |keys: &str| mistakes(&format!("[guest.web]\nmodule = 'w'\n[dns.ns]\n{keys}"));
    insta::assert_snapshot!(lab("ttl = '1ms'\nguests = 'a..b'\nserial = 1\nzone = { 'a_b c' = {}, Test = {}, test = {}, x = 1 }"), @r#"
    labs/lab.toml:4:7: ttl: is no time to live; whole seconds, up to 68 years, such as "5min" or "30s"
    labs/lab.toml:5:10: guests: `a..b` is not a domain; labels of 1 to 63 letters, digits, `-` and `_`, joined by dots, such as "example.test"
    labs/lab.toml:6:1: unknown key `serial` in dns `ns`; known here: network, link, addresses, mac, mtu, interface, gateway, routes, ttl, negative_ttl, guests, zone
    labs/lab.toml:7:10: zone: `a_b c` is not a domain; labels of 1 to 63 letters, digits, `-` and `_`, joined by dots, such as "example.test"
    labs/lab.toml:7:35: zone: `test` is there twice; upper and lower case are the same: put both into one
    labs/lab.toml:7:50: zone: an integer where a table belongs; write a name's records below it: `www = { a = "10.0.0.2" }`
    "#);
    insta::assert_snapshot!(lab("[dns.ns.zone.'example.test']\n'a b' = {}\nwww = { a = 'fd00::2', aaaa = '10.0.0.1', mx = 'x' }\n\
        'www.example.test' = {}\n'*' = { cname = '*.x' }\nb = { cname = 'a', txt = 'x' }\n'@' = { cname = 'a' }\nc = { guest = 'wep' }\n\
        d = { srv = [{ port = 0 }] }\ne = { cname = 'b.example.test' }\nf = 1\nB = {}"), @r#"
    labs/lab.toml:5:1: `a b` is no name; a name within the zone, such as "www" or "*.apps", or "@" for the zone's own
    labs/lab.toml:6:13: a: `fd00::2` is not an IPv4 address; such as "10.0.0.2"
    labs/lab.toml:6:31: aaaa: `10.0.0.1` is not an IPv6 address; such as "fd00::2"
    labs/lab.toml:6:43: unknown key `mx` in the name `www`; known here: a, aaaa, cname, txt, srv, guest, ttl
    labs/lab.toml:7:1: `www.example.test` ends in its zone's name; the zone goes without saying: "www" is meant
    labs/lab.toml:8:17: cname: `*.x` is no name; a name within the zone, such as "www", or a whole one with its final dot
    labs/lab.toml:9:1: an alias has records beside it; a name with `cname` has nothing else
    labs/lab.toml:10:1: the zone's own name cannot be an alias; give it addresses: `a`, `aaaa`, `guest`
    labs/lab.toml:11:15: guest: there is no guest `wep`; did you mean `web`?
    labs/lab.toml:12:14: the service has no `target`; a service is `{ port = 80, target = "web" }`, with `priority` and `weight`
    labs/lab.toml:12:23: port: `0` is out of range; a whole number from 1 to 65535
    labs/lab.toml:13:15: cname: `b.example.test` ends in its zone's name; the zone goes without saying: "b" is meant
    labs/lab.toml:14:5: `f`: an integer where a table belongs; write its records: `www = { a = "10.0.0.2" }`
    labs/lab.toml:15:1: `B` is in the zone twice; upper and lower case are the same: put both into one
    "#);
    insta::assert_snapshot!(mistakes("[guest.ns]\nmodule = 'w'\n[dns.ns]\naddresses = '10.0.0.2/24'\n[switch.lan]\n[switch.wan]"), @r#"
    labs/lab.toml:1:8: `ns` is plugged in nowhere; add `network = "lan"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:3:6: `ns` names a guest and a service; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    labs/lab.toml:3:6: `ns` is plugged in nowhere; add `network = "lan"`, or a [link.NAME] with it among its `ends`
    "#);
}

#[test]
fn mistakes_about_names_and_policies() {
    let lab = |keys: &str| mistakes(&format!("[dns.ns]\n[guest.web]\nmodule = 'w'\n{keys}"));
    insta::assert_snapshot!(lab("[hosts]\nweb = '10.0.0.9'\n'a b' = '10.0.0.9'\nc = ['10.0.0.9', 'x', 1]\nC = '10.0.0.8'\n'1' = '::1'"), @r#"
    labs/lab.toml:5:1: hosts: `web` is a name of the lab already; its guests and services are found by their names: leave it out
    labs/lab.toml:6:1: hosts: `a b` cannot be a host's name; labels of 1 to 63 letters, digits, `-` and `_`, joined by dots; the last is no number
    labs/lab.toml:7:18: hosts: `x` is not an IP address; such as "10.0.0.1" or "fd00::1"
    labs/lab.toml:7:23: hosts: an integer where a string belongs; put it in quotes
    labs/lab.toml:8:1: hosts: `C` is there twice; upper and lower case are the same: one name has a list of addresses
    labs/lab.toml:9:1: hosts: `1` cannot be a host's name; labels of 1 to 63 letters, digits, `-` and `_`, joined by dots; the last is no number
    "#);
    insta::assert_snapshot!(lab("resolver = { servers = ['nss', '10.0.0.1:x', 'fd00::53'], timeout = '0s', attempts = 11, private = '*.a', search = 'a' }"), @r#"
    labs/lab.toml:4:25: servers: there is no dns `nss`; did you mean `ns`?
    labs/lab.toml:4:32: servers: `10.0.0.1:x` is no name server; an address such as "10.0.0.53" or "[fd00::53]:5353", or the name of a [dns.NAME]
    labs/lab.toml:4:69: timeout: is out of range; above 0, up to "60s"
    labs/lab.toml:4:86: attempts: `11` is out of range; a whole number from 1 to 10
    labs/lab.toml:4:100: private: `*.a` cannot be a host's name; labels of 1 to 63 letters, digits, `-` and `_`, joined by dots; the last is no number
    labs/lab.toml:4:107: unknown key `search` in `resolver`; known here: servers, timeout, attempts, private
    "#);
    insta::assert_snapshot!(lab("[guest.web.protocol.ipv4]\nbind = 'web:80'\nconnect = ['*.*.a:1', '*.a:70000', 'a:1-0', '[fd00::1]:1']\n\
        deny = { accept = 'a.b:*', listen = [] }\n[guest.web.protocol.ip]\nconnect = ['[fd00::1]:1', '10.0.0.1:2']"), @r#"
    labs/lab.toml:6:12: connect: `*.*.a:1` has no address or name in `*.*.a`; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:6:23: connect: `*.a:70000` has no ports in `70000`; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:6:36: connect: `a:1-0` has its ports the wrong way round: 1-0; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:6:45: fd00::1/128 is of another family than the protocol, ipv4; give it to the other protocol, or write `*` for any address
    labs/lab.toml:7:19: accept: a.b:* is about no name of the lab or of `hosts`; nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`
    labs/lab.toml:7:28: unknown key `listen` in `deny`; known here: bind, connect, accept
    "#);
}

#[test]
fn guests_resolvers_know_the_lab() {
    let plan = parse(&format!(
        "[hosts]\nelse = '10.9.9.9'\n[tap.t]\nnetwork = 'lan'\n[switch.lan]\n{LAB}\n[guest.asks]\nmodule = 'a'\n\
         resolver = {{ servers = ['10.0.0.1', 'ns'], attempts = 1 }}"
    ))
    .unwrap();
    let config = |guest: &str| {
        let mut plan = plan.guests.iter().find(|plan| plan.name == guest).unwrap().clone();
        std::sync::Arc::clone(&plan.protocols[0].grant.ip_mut().unwrap().resolver)
    };
    let (web, asks) = (config("web"), config("asks"));
    let text = |servers: &[std::net::SocketAddr]| servers.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(&web.servers), ["10.0.0.6:53", "[fd00::6]:53"]);
    assert_eq!(text(&asks.servers), ["10.0.0.1:53", "10.0.0.6:53", "[fd00::6]:53"]);
    assert_eq!((web.attempts, asks.attempts), (2, 1));
    let names = &web.names;
    assert!(names.leads_out && std::sync::Arc::ptr_eq(names, &asks.names));
    let found = |name: &str| {
        names.find(&HostName::parse(name).unwrap(), &Whereabouts::default()).map(|list| list.len())
    };
    assert_eq!(
        ["web", "DB-1", "ns", "else", "db", "localhost"].map(found),
        [Some(2), Some(2), Some(2), Some(1), None, Some(2)]
    );
    let subnets: Vec<String> = names.subnets.iter().map(ToString::to_string).collect();
    assert_eq!(subnets, ["10.0.0.0/24", "fd00::/64", "fe80::/64"]);
}
