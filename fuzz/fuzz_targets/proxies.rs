//! Proxies that answer anything, and whatever a stranger says instead of a PROXY header: a handshake comes to an end however
//! its bytes are cut, and a datagram from a relay is read as it would be written.
#![no_main]

use guestnet::protocol::proxy::dialogue::{Script, play};
use guestnet::protocol::proxy::socks5::{self, Command, read_target, write_target};
use guestnet::protocol::proxy::{Credentials, http_connect, proxy_protocol};
use guestnet::protocol::target::Target;
use libfuzzer_sys::fuzz_target;

const SCRIPTS: u8 = 5;

fn script(which: u8) -> Box<dyn Script> {
    let target = Target::parse("example.org:80").expect("a target");
    let credentials = Some(Credentials { user: "me".into(), password: "secret".into() });
    match which {
        0 => Box::new(socks5::Client::new(Command::Connect, target, credentials)),
        1 => Box::new(socks5::Client::new(Command::UdpAssociate, target, None)),
        2 => Box::new(http_connect::Client::new(target, credentials)),
        3 => Box::new(http_connect::Client::new(target, None)),
        _ => Box::new(proxy_protocol::Header::default()),
    }
}

// A byte says to whom and in pieces of how many bytes; then the bytes.
fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let whole = play(&mut *script(how % SCRIPTS), bytes, bytes.len().max(1));
    let pieces = play(&mut *script(how % SCRIPTS), bytes, usize::from(how / SCRIPTS) + 1);
    assert_eq!(whole, pieces, "what it comes to depends on how it was cut");
    if let Ok(Some((target, length))) = read_target(bytes) {
        let mut written = Vec::new();
        write_target(&mut written, &target);
        assert!(length <= bytes.len());
        assert_eq!(read_target(&written), Ok(Some((target, written.len()))));
    }
});
