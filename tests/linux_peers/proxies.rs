//! Guests through proxies that others wrote: microsocks, Dante, tinyproxy; and behind HAProxy.

use std::fs;
use std::process::Command;

use crate::common::capture::count;
use crate::common::lab::Site;
use crate::common::namespace::Namespace;
use crate::common::peer::Peer;

/// Starts a server, and waits until it has its TCP or UDP port.
fn serve(namespace: &Namespace, line: &str, port: u16) -> Peer {
    let peer = Peer(namespace.start(line));
    let listens = format!("ss -Hltun sport = :{port}");
    for _ in 0..600 {
        if !namespace.run(&listens).is_empty() {
            return peer;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("`{line}` does not listen at port {port}");
}

const PAGE: &str = "a page behind a proxy\n";

fn web(site: &Site) -> Peer {
    let folder = site.path("www");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("page.txt"), PAGE).unwrap();
    let line =
        format!("/usr/bin/python3 -m http.server --bind 0.0.0.0 --directory {} 8000", folder.display());
    serve(&site.namespace, &line, 8000)
}

/// A guest that fetches the page from `address` through its protocol `web`, whose keys are `keys`.
fn client(name: &str, address: &str, keys: &str) -> String {
    format!(
        "[guest.{name}]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"web\", \"{address}\", \"/page.txt\"]\n\
         [guest.{name}.protocol.ipv4]\nprivate = true\n\
         [guest.{name}.protocol.web]\nover = \"ipv4\"\n{keys}\n"
    )
}

fn assert_said(stdout: &str, name: &str) {
    for line in [format!("{name}: 200"), format!("{name}: {}", PAGE.trim_end())] {
        assert!(stdout.lines().any(|said| said == line), "`{line}` is missing: {stdout}");
    }
}

#[test]
fn microsocks_connects_for_guests_by_address_and_by_name() {
    let site = Site::new();
    let _web = web(&site);
    let _open = serve(&site.namespace, "microsocks -i 10.0.0.1 -p 1080", 1080);
    let _closed = serve(&site.namespace, "microsocks -i 10.0.0.1 -p 1081 -u me -P secret", 1081);
    let open = "kind = \"socks5\"\nserver = \"10.0.0.1:1080\"";
    let closed = "kind = \"socks5\"\nserver = \"10.0.0.1:1081\"\nuser = \"me\"\npassword = ";
    let mut lab = site.start(
        &[
            client("address", "10.0.0.1:8000", open),
            // The server resolves it, to its own loopback, which leads out of the lab.
            client("name", "localhost:8000", &format!("{open}\nconnect = \"localhost:8000\"")),
            client("user", "10.0.0.1:8000", &format!("{closed}\"secret\"")),
            client("wrong", "10.0.0.1:8000", &format!("{closed}\"wrong\"")),
            client("nobody", "10.0.0.1:8000", "kind = \"socks5\"\nserver = \"10.0.0.1:1081\""),
            client("refused", "10.0.0.1:9", open),
            client("policy", "10.0.0.1:8000", &format!("{open}\nconnect = \"*:443\"")),
        ]
        .concat(),
    );
    let ended = lab.end();
    for name in ["address", "name", "user"] {
        assert_said(&ended.stdout, name);
    }
    for (name, why) in [
        ("wrong", "Permission denied"),
        ("nobody", "Permission denied"),
        ("refused", "Connection refused"),
        ("policy", "Permission denied"),
    ] {
        let told =
            ended.stderr.lines().any(|line| line.starts_with(&format!("{name}: ")) && line.ends_with(why));
        assert!(told, "{name} should meet `{why}`: {}", ended.stderr);
    }
    assert!(ended.stderr.contains("3 of 7 guests exited with 0"), "{ended:?}");
    crate::common::capture::check(&lab.capture());
    assert_eq!(
        count(&lab.capture(), "tcp.port == 443"),
        0,
        "what the policy refuses is never asked of the proxy"
    );
}

#[test]
fn dante_relays_datagrams() {
    let site = Site::new();
    let config = site.path("sockd.conf");
    fs::write(
        &config,
        "logoutput: /dev/null\ninternal: 10.0.0.1 port = 1080\nexternal: 10.0.0.1\nclientmethod: none\nsocksmethod: none\n\
         user.privileged: root\nuser.unprivileged: nobody\n\
         client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n",
    )
    .unwrap();
    let _dante = serve(&site.namespace, &format!("danted -f {}", config.display()), 1080);
    let echo = "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('10.0.0.1',7))\n\
                while 1:\n d,a=s.recvfrom(65535)\n s.sendto(d,a)\n";
    let script = site.path("echo.py");
    fs::write(&script, echo).unwrap();
    let _echo = serve(&site.namespace, &format!("/usr/bin/python3 {}", script.display()), 7);
    let socks = "protocol.ipv4.private = true\n[guest.c.protocol.socks]\nkind = \"socks5\"\nover = \"ipv4\"\n\
                 server = \"10.0.0.1:1080\"\n";
    let mut lab = site.start(&format!(
        "[guest.c]\nmodule = \"GUESTS/echo_client.wasm\"\n\
         args = [\"socks\", \"10.0.0.1:7\", \"dgram\", \"through a relay\", \"20\"]\n{socks}"
    ));
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    crate::common::capture::check(&lab.capture());
    let relayed = count(&lab.capture(), "udp && frame.interface_name == \"host\"");
    assert!(relayed >= 40, "{relayed} datagrams to and from the relay");
    assert_eq!(count(&lab.capture(), "udp.port == 7"), 0, "datagrams go to the relay, not to the peer");
}

#[test]
fn tinyproxy_connects_for_guests_and_proxies_stand_on_one_another() {
    let site = Site::new();
    let _web = web(&site);
    let config = site.path("tinyproxy.conf");
    fs::write(
        &config,
        "Port 8888\nListen 10.0.0.1\nTimeout 60\nMaxClients 20\nAllow 10.0.0.0/24\nBasicAuth me secret\nConnectPort 8000\nConnectPort 1080\n",
    )
    .unwrap();
    let _proxy = serve(&site.namespace, &format!("tinyproxy -d -c {}", config.display()), 8888);
    let _socks = serve(&site.namespace, "microsocks -i 10.0.0.1 -p 1080", 1080);
    let http = "kind = \"http-connect\"\nserver = \"10.0.0.1:8888\"\nuser = \"me\"\npassword = ";
    let chain = "[guest.chain]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"web\", \"localhost:8000\", \"/page.txt\"]\n\
                 [guest.chain.protocol.ipv4]\nprivate = true\n\
                 [guest.chain.protocol.first]\nprivate = true\nover = \"ipv4\"\nkind = \"http-connect\"\n\
                 server = \"10.0.0.1:8888\"\nuser = \"me\"\npassword = \"secret\"\n\
                 [guest.chain.protocol.web]\nover = \"first\"\nkind = \"socks5\"\nserver = \"10.0.0.1:1080\"\n\
                 connect = \"localhost:8000\"\n";
    let mut lab = site.start(
        &[
            client("right", "10.0.0.1:8000", &format!("{http}\"secret\"")),
            client("wrong", "10.0.0.1:8000", &format!("{http}\"wrong\"")),
            client("port", "10.0.0.1:22", &format!("{http}\"secret\"")),
            chain.to_owned(),
        ]
        .concat(),
    );
    let ended = lab.end();
    assert_said(&ended.stdout, "right");
    assert_said(&ended.stdout, "chain");
    for name in ["wrong", "port"] {
        let told = format!("{name}: ");
        let told =
            ended.stderr.lines().any(|line| line.starts_with(&told) && line.ends_with("Permission denied"));
        assert!(told, "{name} should be refused: {}", ended.stderr);
    }
    crate::common::capture::check(&lab.capture());
}

#[test]
fn behind_haproxy_a_guest_knows_its_peers() {
    let site = Site::new();
    let config = site.path("haproxy.cfg");
    let backend = |port: u16, version: &str| {
        format!("listen l{port}\n bind 10.0.0.1:{port}\n mode tcp\n server guest 10.0.0.2:13 {version}\n")
    };
    fs::write(
        &config,
        format!(
            "defaults\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n{}{}",
            backend(8001, "send-proxy"),
            backend(8002, "send-proxy-v2")
        ),
    )
    .unwrap();
    let _haproxy = serve(&site.namespace, &format!("haproxy -db -f {}", config.display()), 8002);
    let mut lab = site.ready(
        "[guest.server]\nmodule = \"GUESTS/peer_server.wasm\"\nargs = [\"fd:daytime\"]\n\
         listen = [{ name = \"daytime\", bind = \"0.0.0.0:13\", protocol = \"balanced\" }]\n\
         [guest.server.protocol.ipv4]\nprivate = true\n\
         [guest.server.protocol.balanced]\nkind = \"proxy-protocol\"\nover = \"ipv4\"\nfrom = \"10.0.0.1/32\"\n",
    );
    for (port, from) in [(8001, 40001), (8002, 40002)] {
        let said = lab.namespace().run(&format!("nc -d -s 10.0.0.1 -p {from} -w 20 10.0.0.1 {port}"));
        assert_eq!(said, format!("10.0.0.1:{from}\n"));
    }
    // Without a header, or with garbage for one, nobody gets as far as the guest.
    let mut garbage = Command::new("ip");
    garbage.args(["netns", "exec", &lab.namespace().name, "bash", "-c"]);
    garbage.arg("for i in {1..20}; do printf 'GET / HTTP/1.1\\r\\n\\r\\n' | nc -w 5 10.0.0.2 13; done");
    assert_eq!(String::from_utf8_lossy(&garbage.output().unwrap().stdout), "");
    let said = lab.namespace().run("nc -d -s 10.0.0.1 -p 40003 -w 20 10.0.0.1 8002");
    assert_eq!(said, "10.0.0.1:40003\n");
    let ended = lab.finish();
    assert_eq!(ended.stdout.lines().count(), 3, "{ended:?}");
}
