//! Protocol objects of kind `icmp`: what they become, and what is told of those that are wrong.

use super::parse;
use crate::protocol::Grant;

fn icmp(keys: &str) -> Result<Grant, String> {
    let plan = parse(&format!("[guest.client]\nmodule = 'x.wasm'\n{keys}"))?;
    Ok(plan.guests[0].protocols[0].grant.clone())
}

#[test]
fn its_rules_are_about_addresses_and_names() {
    let grant = icmp(
        "[guest.client.protocol.ping]\nkind = 'icmp'\nbind = '10.0.0.2:*'\n\
         connect = ['10.0.0.0/8:*', '*.example.org:*']\ndeny = { connect = '[fd00::9]:*' }",
    )
    .unwrap();
    assert_eq!(grant.kind(), "icmp");
    let Grant::Icmp(settings) = grant else { panic!("{grant:?}") };
    let rules: Vec<String> = settings.policy.rules().map(ToString::to_string).collect();
    assert_eq!(rules, ["10.0.0.2/32:*", "10.0.0.0/8:*", "*.example.org:*", "[fd00::9/128]:*"]);
}

#[test]
fn mistakes_are_told_where_they_are() {
    let told = |keys: &str| icmp(keys).unwrap_err();
    let ports = told("[guest.client.protocol.icmp]\nconnect = '10.0.0.2:80'");
    assert!(
        ports.contains("lab.toml:4:11: connect: 10.0.0.2/32:80 names ports, and ICMP has none"),
        "{ports}"
    );
    assert!(ports.contains("write \"10.0.0.2/32:*\""), "{ports}");
    let accept = told("[guest.client.protocol.icmp]\naccept = '*:*'");
    assert!(accept.contains("lab.toml:4:1: ") && accept.contains("accept"), "{accept}");
    let over = told(
        "[guest.client.protocol.icmp]\n[guest.client.protocol.quic]\nover = 'icmp'\n\
         [guest.client.protocol.tls]\nover = 'quic'",
    );
    let message = "lab.toml:5:8: over: icmp is of kind icmp, which carries nothing but echoes";
    assert!(over.contains(message), "{over}");
}
