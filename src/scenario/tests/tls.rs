//! Authorities and `tls` protocol objects: what they become, and what can be wrong with them.

use super::parse;
use crate::protocol::LayerKind;
use crate::protocol::tls::config::{Clients, Versions};
use crate::protocol::tls::plan::{CertificatePlan, RootPlan, TlsPlan};

fn tls(keys: &str) -> Result<TlsPlan, String> {
    let text = format!(
        "[ca.test]\n[ca.other]\nvalid = {{ from = '-48h', until = '-24h' }}\nexport = 'root.pem'\n\
         [guest.server]\nmodule = 'x.wasm'\n[guest.server.protocol.ipv4]\n\
         [guest.server.protocol.web]\nkind = 'tls'\nover = 'ipv4'\n{keys}"
    );
    let plan = parse(&text)?;
    assert_eq!(plan.authorities.len(), 2);
    let web = &plan.guests[0].protocols[1];
    let tls = web.grant.layers().find_map(|layer| match layer {
        LayerKind::Tls(tls) => Some(tls.clone()),
        _ => None,
    });
    Ok(tls.expect("a layer of TLS"))
}

fn wrong(keys: &str) -> String {
    tls(keys).expect_err(keys)
}

#[test]
fn defaults_are_a_client_that_trusts_the_lab_s_own() {
    let plan = tls("").unwrap();
    assert_eq!(plan.certificates, []);
    assert_eq!(plan.roots, [RootPlan::Authority(0), RootPlan::Authority(1)]);
    assert_eq!((plan.clients, plan.versions, plan.resumption), (Clients::Anonymous, Versions::Both, true));
    let alone = parse("[guest.g]\nmodule = 'x'\nprotocol = { ipv4 = {}, tls = { over = 'ipv4' } }").unwrap();
    assert!(alone.needs_system_roots());
}

#[test]
fn certificates_are_for_the_guest_s_name_and_addresses_unless_they_say_otherwise() {
    let names = |keys: &str| match &tls(keys).unwrap().certificates[..] {
        [CertificatePlan::Issued { authority, names, .. }] => {
            (*authority, names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(names("certificate = [{ ca = 'test' }]"), (0, "server 10.0.0.2 fd00::2".to_owned()));
    let given = "certificate = [{ ca = 'other', names = ['WWW.example.org', '*.example.org', '::1'] }]";
    assert_eq!(names(given), (1, "www.example.org *.example.org ::1".to_owned()));
}

#[test]
fn all_keys_arrive() {
    let plan =
        tls("certificate = [{ chain = 'a.pem', key = 'b.pem' }]\nroots = ['system', { file = 'c.pem' }]\n\
                    client_roots = { ca = 'other' }\nclients = 'required'\nserver_name = 'Server'\n\
                    alpn = ['h2', 'http/1.1']\nversions = '1.2'\nresumption = false\ntimeout = '3s'")
        .unwrap();
    insta::assert_debug_snapshot!(plan);
}

#[test]
fn mistakes_are_told_where_they_are() {
    let told = [
        "certificate = [{ ca = 'tset' }]",
        "certificate = [{ ca = 'test', chain = 'a.pem' }]",
        "certificate = [{ chain = 'a.pem' }]",
        "certificate = [{ names = ['x'] }]",
        "certificate = [{ ca = 'test', names = ['not a name'] }]",
        "certificate = [{ ca = 'test', valid = { from = '2h', until = '1h' } }]",
        "certificate = [{ chain = 'a', key = 'b', valid = { from = '2h' } }]",
        "roots = 'sytem'",
        "roots = [{ ca = 'test', file = 'x' }]",
        "clients = 'maybe'",
        "clients = 'required'",
        "certificate = [{ ca = 'test' }]\nclients = 'optional'\nclient_roots = []",
        "server_name = '*.example.org'",
        "alpn = ['']",
        "versions = ['1.1']",
        "timeout = 10",
        "bind = ['*:443']",
    ]
    .map(wrong);
    insta::assert_snapshot!(told.concat());
}
