//! Mistakes in protocol objects and in what stands on them.

use super::super::parse;
use super::mistakes;

#[test]
fn protocols_over_others() {
    let lab = |tables: &str| mistakes(&format!("[guest.a]\nmodule = 'a'\n{tables}"));
    insta::assert_snapshot!(lab("[guest.a.protocol.p]\nkind = 'proxy-protocol'"), @r#"labs/lab.toml:3:19: protocol `p` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`"#);
    insta::assert_snapshot!(lab("[guest.a.protocol.proxy-protocol]\nover = 'ip4'\n[guest.a.protocol.ipv4]\nover = 'p'"), @r"
    labs/lab.toml:4:8: over: guest `a` has no protocol `ip4`; did you mean `ipv4`? it has ipv4
    labs/lab.toml:6:1: unknown key `over` in protocol `ipv4` of guest `a`; known here: kind, private, bind, connect, accept, deny
    ");
    insta::assert_snapshot!(lab("[guest.a.protocol.p]\nkind = 'proxy-protocol'\nover = 'q'\nbind = '*:1'\n\
         [guest.a.protocol.q]\nkind = 'proxy-protocol'\nover = 'p'\nfrom = '10.0.0.1'"), @r#"
    labs/lab.toml:5:8: over: q stands on itself: q -> p -> q; let one of them stand on a protocol of kind ipv4 or ipv6
    labs/lab.toml:6:1: unknown key `bind` in protocol `p` of guest `a`; did you mean `kind`? known here: kind, private, from, over
    labs/lab.toml:9:8: over: p stands on itself: p -> q -> p; let one of them stand on a protocol of kind ipv4 or ipv6
    labs/lab.toml:10:8: from: `10.0.0.1` has no prefix length; a subnet such as "10.0.0.0/24" or "fd00::/64"
    "#);
}

#[test]
fn protocols_stand_only_so_deep() {
    let lab = |layers: usize, base: &str| {
        let mut text = "[guest.a]\nmodule = 'a'\n[guest.a.protocol]\nipv4 = {}\n".to_owned();
        for number in 1..=layers {
            let below = if number == 1 { base.to_owned() } else { format!("p{}", number - 1) };
            text += &format!("p{number} = {{ kind = 'yamux', over = '{below}' }}\n");
        }
        text
    };
    assert!(parse(&lab(16, "ipv4")).is_ok());
    // Told once, and without recursion, however deep it goes on.
    for layers in [17, 3_000] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(mistakes(&lab(layers, "ipv4")), @"labs/lab.toml:21:32: over: p17 is the 17th protocol over one another; at most 16 may stand over ipv4, ipv6, ip or unix");
        }
    }
    assert_eq!(mistakes(&lab(3_000, "nothing")).lines().count(), 1);
    let round = mistakes(&lab(40, "p40"));
    assert_eq!(round.lines().count(), 40, "{round}");
    let first = round.lines().next().unwrap();
    assert!(first.contains("p40 -> p39 -> ") && first.contains("p24 -> ... -> p40"), "{first}");
}

/// What is missing does not hide what is misspelt.

#[test]
fn misspelt_keys_of_layers() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nprotocol.ipv4 = {}\n\
         protocol.tls = { ovr = 'ipv4', certificat = [{ ca = 'test' }] }\nprotocol.socks5 = { over = 'ipv4', sever = 'a:1' }\n\
         protocol.quic = { ovr = 'ipv4' }\n[ca.test]"), @r#"
    labs/lab.toml:4:10: protocol `tls` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`
    labs/lab.toml:4:18: unknown key `ovr` in protocol `tls` of guest `a`; did you mean `over`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, versions, over
    labs/lab.toml:4:32: unknown key `certificat` in protocol `tls` of guest `a`; did you mean `certificate`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, versions, over
    labs/lab.toml:5:10: protocol `socks5` of guest `a` has no `server`; the proxy's host and port: `server = "10.0.0.9:1080"`
    labs/lab.toml:5:36: unknown key `sever` in protocol `socks5` of guest `a`; did you mean `server`? known here: kind, private, server, user, password, connect, deny, over
    labs/lab.toml:6:10: protocol `quic` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`
    labs/lab.toml:6:19: unknown key `ovr` in protocol `quic` of guest `a`; did you mean `over`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, early_data, streams, unidirectional_streams, stream_window, window, idle_timeout, keep_alive, retry, migration, congestion, qlog, over
    "#);
}

#[test]
fn proxies() {
    let lab = |keys: &str| {
        mistakes(&format!(
            "[guest.a]\nmodule = 'a'\nprotocol.ipv4.private = true\n[guest.a.protocol.p]\nover = 'ipv4'\n{keys}"
        ))
    };
    insta::assert_snapshot!(lab("kind = 'socks5'"), @r#"labs/lab.toml:4:19: protocol `p` of guest `a` has no `server`; the proxy's host and port: `server = "10.0.0.9:1080"`"#);
    insta::assert_snapshot!(lab("kind = 'http-connect'\nserver = 'proxy'\nuser = 'me'"), @r#"
    labs/lab.toml:7:10: server: `proxy` is not a host and port; such as "10.0.0.9:1080", "[fd00::9]:1080" or "proxy.example:1080"
    labs/lab.toml:8:8: a `user` without a `password`; add `password = "..."`
    "#);
    insta::assert_snapshot!(lab("kind = 'socks5'\nserver = '10.0.0.1:1080'\nuser = ''\npassword = \"a\\nb\"\nbind = '*:*'"), @r#"
    labs/lab.toml:8:8: user: is no user or password; 1 to 255 bytes, none of them control characters
    labs/lab.toml:9:12: password: is no user or password; 1 to 255 bytes, none of them control characters
    labs/lab.toml:10:1: unknown key `bind` in protocol `p` of guest `a`; did you mean `kind`? known here: kind, private, server, user, password, connect, deny, over
    "#);
}

#[test]
fn protocols_and_listeners() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.web]\n[guest.a.protocol.ipv5]\nkind = 'ipv5'"), @r#"
    labs/lab.toml:3:19: protocol `web` of guest `a` is of no known kind; add `kind = ...`: "ip", "ipv4", "ipv6", "icmp", "unix", "socks5", "http-connect", "tls", "quic", "yamux" or "proxy-protocol"
    labs/lab.toml:5:8: kind: `ipv5` is no kind of protocol; "ip", "ipv4", "ipv6", "icmp", "unix", "socks5", "http-connect", "tls", "quic", "yamux" or "proxy-protocol"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.ipv4]\n\
         bind = ['80', '*:99999', '*:9-1', 'fd00::1:80', '[fd00::]:80', '10.0.0.1/8:80']"), @r#"
    labs/lab.toml:4:9: bind: `80` names no ports; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:15: bind: `*:99999` has no ports in `99999`; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:26: bind: `*:9-1` has its ports the wrong way round: 9-1; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:35: bind: `fd00::1:80` needs brackets around its IPv6 addresses; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:49: fd00::/128 is of another family than the protocol, ipv4; give it to the other protocol, or write `*` for any address
    labs/lab.toml:4:64: bind: `10.0.0.1/8:80` has bits set beyond its prefix: 10.0.0.0/8 is meant; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '0.0.0.0' }, { bind = '[::]:80', protocol = 'ipv4' }, { bind = '[::]:80', protocol = 'ipv7' }]"), @r#"
    labs/lab.toml:3:20: bind: `0.0.0.0` is not an address and port; such as "0.0.0.0:80", "[::]:80" or "/run/web.sock"
    labs/lab.toml:3:42: bind: [::]:80 is of another family than protocol `ipv4`; name a protocol of kind ipv6, or leave `protocol` out
    labs/lab.toml:3:83: guest `a` listens on [::]:80 twice; one listener takes an address, port and kind
    labs/lab.toml:3:105: protocol: guest `a` has no protocol `ipv7`; did you mean `ipv4`? it has ipv4, ipv6
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '10.0.0.9:80' }, { bind = '0.0.0.0:80', name = 'ipv4' }, { bind = '0.0.0.0:80', kind = 'raw' }]"), @r#"
    labs/lab.toml:3:20: bind: 10.0.0.9 is no address of guest `a`; it has 10.0.0.2/24; `0.0.0.0` is any address
    labs/lab.toml:3:67: `ipv4` names two descriptors of guest `a`; listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:3:86: guest `a` listens on 0.0.0.0:80 twice; one listener takes an address, port and kind
    labs/lab.toml:3:107: kind: `raw` is no kind of socket; "stream" or "datagram"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '[::]:80' }, { bind = '0.0.0.0:81', backlog = 0 }]\n\
         protocol.ipv4.bind = '*:80'"), @r"
    labs/lab.toml:3:20: guest `a` has no ipv6 protocol to listen on [::]:80 with; add [guest.a.protocol.ipv6]
    labs/lab.toml:3:42: bind: the policy of protocol `ipv4` does not allow 0.0.0.0:81; add it to the `bind` of protocol `ipv4`
    labs/lab.toml:3:66: backlog: `0` is out of range; a whole number from 1 to 65535
    ");
}

#[test]
fn connections() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[[guest.a.connect]]\nport = 80"), @r#"
    labs/lab.toml:3:1: a connection of guest `a` has no `address`; the peer's address and port: `address = "10.0.0.2:80"`
    labs/lab.toml:4:1: unknown key `port` in a connection of guest `a`; known here: name, address, protocol, kind, bind, retry
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         connect = [{ address = '10.0.0.3:0' }, { address = '10.0.0.3:80', bind = '[::]:0', name = 'ipv6' }, { address = 'web:80', retry = 5 }]"), @r#"
    labs/lab.toml:3:24: address: 10.0.0.3:0 has port 0; name the port that the peer listens on
    labs/lab.toml:3:74: bind: [::]:0 is of another family than 10.0.0.3:80; leave `bind` out for any address of the right one
    labs/lab.toml:3:91: `ipv6` names two descriptors of guest `a`; connections, listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:3:131: retry: an integer where a duration in quotes belongs; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '0.0.0.0:80', name = 'x' }]\n\
         connect = [{ address = '10.0.0.3:81', name = 'x' }, { address = '[fd00::3]:80' }, { address = '10.0.0.3:80', bind = '10.0.0.9:80' }]\n\
         protocol.ipv4 = { bind = '*:80', connect = '*:80' }"), @r"
    labs/lab.toml:4:24: address: the policy of protocol `ipv4` does not allow 10.0.0.3:81; add it to the `connect` of protocol `ipv4`
    labs/lab.toml:4:46: `x` names two descriptors of guest `a`; connections, listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:4:65: guest `a` has no ipv6 protocol to connect to [fd00::3]:80 with; add [guest.a.protocol.ipv6]
    labs/lab.toml:4:117: bind: 10.0.0.9 is no address of guest `a`; it has 10.0.0.2/24; `0.0.0.0` is any address
    ");
}

#[test]
fn unix_sockets() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.unix]\n\
         bind = ['run/*', '/ok/**']\nconnect = 5\nhost = { 'run' = 'x', '/run' = 7, '/host' = 'y' }\n\
         deny = { connect = ['a', '/b'], accept = '/c' }\ncolour = 1"), @r#"
    labs/lab.toml:4:9: bind: `run/*` matches no path; it begins with `/` or `*` and has at most 256 bytes: "/run/echo.sock", "/run/*", "/run/**"
    labs/lab.toml:5:11: connect: an integer where a string belongs; put it in quotes
    labs/lab.toml:6:10: host: `run` is no path of a socket; at most 107 bytes that begin with `/`, without empty parts, `.` and `..`, such as "/run/echo.sock"
    labs/lab.toml:6:32: host: an integer where a string belongs; put it in quotes
    labs/lab.toml:7:21: connect: `a` matches no path; it begins with `/` or `*` and has at most 256 bytes: "/run/echo.sock", "/run/*", "/run/**"
    labs/lab.toml:7:33: unknown key `accept` in `deny`; known here: bind, connect
    labs/lab.toml:8:1: unknown key `colour` in protocol `unix` of guest `a`; known here: kind, private, bind, connect, deny, link, host
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ninterface.unix0 = {}\n\
         listen = [{ bind = '/run/../x' }, { bind = '/run/a' }, { bind = '/run/a', kind = 'datagram' }, { bind = '/etc/a' }]\n\
         connect = [{ address = '/run/b' }, { address = '/etc/b', bind = '0.0.0.0:0' }]\n\
         [guest.a.protocol.unix]\nbind = '/run/*'\nconnect = '/run/*'\nlink = { delay = '1ms' }\n\
         [guest.a.protocol.other]\nkind = 'unix'\nlink = {}"), @r#"
    labs/lab.toml:3:11: interface `unix0` is that of the protocols of kind unix; give it another name
    labs/lab.toml:3:11: `a.unix0` is plugged in nowhere; add `network = "lan"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:4:20: bind: `/run/../x` is no path of a socket; at most 107 bytes that begin with `/`, without empty parts, `.` and `..`, such as "/run/echo.sock"
    labs/lab.toml:4:65: guest `a` listens on /run/a twice; one listener takes an address, port and kind
    labs/lab.toml:4:105: bind: the policy of protocol `unix` does not allow /etc/a; add it to the `bind` of protocol `unix`
    labs/lab.toml:5:48: address: the policy of protocol `unix` does not allow /etc/b; add it to the `connect` of protocol `unix`
    labs/lab.toml:5:65: bind: 0.0.0.0:0 is of another family than /etc/b; leave `bind` out for any address of the right one
    labs/lab.toml:12:8: link: there is one already; all protocols of kind unix leave by one interface: give it its link once
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 2\nlisten = [{ bind = '/run/a' }]\nprotocol.unix = {}\n\
         [guest.b]\nmodule = 'b'\nlisten = [{ bind = '/run/a' }]\n[switch.unix]"), @r"
    labs/lab.toml:4:20: all 2 of guest `a` listen on /run/a; a path is bound once in the lab
    labs/lab.toml:5:10: `unix` names two switches; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    labs/lab.toml:8:20: guest `b` has no unix protocol to listen on /run/a with; add [guest.b.protocol.unix]
    ");
}

#[test]
fn rules_by_name_that_nobody_could_meet() {
    insta::assert_snapshot!(mistakes("[hosts]\n'www.example.org' = '10.0.0.9'\n[guest.a]\nmodule = 'a'\n[guest.a.protocol.ipv4]\nbind = ['a:80', 'b:80', 'www.example.org:*']\naccept = ['*.example.org:*', 'example.org:*', 'localhost:*']\ndeny = { accept = '*.a:1', connect = 'anything.example:*' }"), @r#"
    labs/lab.toml:6:17: bind: b:80 is about no name of the lab or of `hosts`; no other leads to addresses of the guest's own: write addresses, or add the name to `hosts`
    labs/lab.toml:7:30: accept: example.org:* is about no name of the lab or of `hosts`; nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`
    labs/lab.toml:8:19: accept: *.a:1 is about no name of the lab or of `hosts`; nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`
    "#);
}
