//! Frames that nobody should send, put on the wire from the Linux side by a packet socket.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use guestnet::rng::{Rng, Seed};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, sendto, socket,
};

use crate::common::capture::{OURS, check_ours, count, fields};
use crate::common::frames::{self, syn};
use crate::common::lab::{Lab, Site};
use crate::common::namespace::DEVICE;

const LAB: &str = "
[guest.web]
module = \"GUESTS/http_server.wasm\"
args = [\"0.0.0.0:80\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER\" }
";

/// Sends frames as they are, by the namespace's end of the TAP.
struct Raw {
    socket: OwnedFd,
    to: SockaddrStorage,
}

impl Raw {
    fn open(lab: &Lab) -> Raw {
        lab.namespace().inside(|| {
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
            let address = libc::sockaddr_ll {
                sll_family: libc::AF_PACKET as u16,
                sll_protocol: 0,
                sll_ifindex: if_nametoindex(DEVICE).unwrap() as i32,
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 6,
                sll_addr: [0; 8],
            };
            let length = size_of::<libc::sockaddr_ll>() as u32;
            // SAFETY: the address is a whole sockaddr_ll, and its family and length say so.
            let to = unsafe { SockaddrStorage::from_raw((&raw const address).cast(), Some(length)) };
            Raw { socket, to: to.unwrap() }
        })
    }

    /// False if the kernel itself would not have it: too short for a header, or longer than the MTU.
    fn send(&self, frame: &[u8]) -> bool {
        loop {
            match sendto(self.socket.as_raw_fd(), frame, &self.to, MsgFlags::empty()) {
                Ok(_) => return true,
                // The TAP's queue is full: the lab is slower than this loop.
                Err(nix::errno::Errno::ENOBUFS) => std::thread::yield_now(),
                Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EMSGSIZE) => return false,
                Err(errno) => panic!("{}", io::Error::from(errno)),
            }
        }
    }
}

/// What a switch floods it counts by no name; what is wrong here never comes from a guest.
fn assault(raw: &Raw, rng: &mut Rng, frames: usize) -> usize {
    let kinds = frames::whole(80);
    let mut sent = 0;
    for _ in 0..frames {
        let mut frame = kinds[rng.below(kinds.len() as u64) as usize].clone();
        frames::spoil(&mut frame, rng);
        sent += usize::from(raw.send(&frame));
    }
    sent
}

fn curl(lab: &Lab) {
    lab.namespace().run("curl -sS --max-time 30 -o /dev/null http://10.0.0.2/lab.toml");
}

#[test]
fn spoilt_frames_do_no_harm() {
    let mut lab = Site::new().ready(LAB);
    // Room for all of them: what a busy guestnet leaves waiting is not lost.
    lab.namespace().run(&format!("ip link set {DEVICE} txqueuelen 30000"));
    let raw = Raw::open(&lab);
    // Each kind as it should be, cut at every length, and with its checksums wrong.
    for frame in frames::whole(80) {
        for length in 14..=frame.len() {
            raw.send(&frame[..length]);
        }
        let mut wrong = frame;
        *wrong.last_mut().unwrap() ^= 0xff;
        raw.send(&wrong);
    }
    let sent = assault(&raw, &mut Seed(21).fork("assault"), 20_000);
    assert!(sent > 15_000, "{sent}");
    lab.wait_for_ping();
    curl(&lab);
    let ended = lab.stop(Signal::SIGINT);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    check_ours(&lab.capture());
    let arrived = count(&lab.capture(), "frame.interface_name == \"host\" && eth.src == 06:06:06:06:06:06");
    assert!(arrived > 10_000, "{arrived} of {sent} arrived");
}

#[test]
fn a_flood_of_syns_leaves_room_for_an_honest_client() {
    let mut lab = Site::new().ready(LAB);
    let raw = Raw::open(&lab);
    let mut rng = Seed(22).fork("flood");
    for number in 0..20_000_u32 {
        // From the whole subnet and from beyond it, where the guest has no way back to.
        let source = if number % 2 == 0 {
            [10, 0, 0, 100 + rng.below(100) as u8]
        } else {
            rng.next_u32().to_be_bytes()
        };
        raw.send(&syn(source, 1024 + (number % 60_000) as u16, 80));
    }
    // Those who never answered give way after a second; curl tries again by then.
    curl(&lab);
    let ended = lab.stop(Signal::SIGINT);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    check_ours(&lab.capture());
    // Of each forged address that is asked for, or answered, at most a backlog's worth was ever open.
    let host = "frame.interface_name == \"host\"";
    let opened =
        fields(&lab.capture(), &format!("{OURS} && {host} && tcp.flags == 0x12"), &["ip.dst", "tcp.dstport"]);
    let mut of_one = HashMap::new();
    opened.into_iter().for_each(|peer| *of_one.entry(peer).or_insert(0) += 1);
    assert!(of_one.len() < 1000, "{} connections were half-open", of_one.len());
}
