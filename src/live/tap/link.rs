//! The little of rtnetlink that a TAP needs: is it up, how long may its packets be, and put it up.
//!
//! Requests and answers are those of rtnetlink(7): `nlmsghdr` (16 bytes), `ifinfomsg` (16 bytes), then
//! attributes, each with a header of 4 bytes and padded to a multiple of 4; all in the machine's byte order.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const HEADER_BYTES: usize = 16;
const INFO_BYTES: usize = 16;
/// An answer about one link has about 1.5 KiB; one that does not fit is an error, not a part of an answer.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub index: u32,
    pub up: bool,
    /// In bytes, the Ethernet header not counted.
    pub mtu: u32,
}

/// What the device called `name`, in the namespace of the calling thread, is like.
pub(super) fn query(name: &str) -> Result<State, Errno> {
    let index = if_nametoindex(name)?;
    let answer = ask(libc::RTM_GETLINK, 0, index, 0)?;
    parse(index, &answer).ok_or(Errno::EPROTO)
}

/// Puts a device up, which takes `CAP_NET_ADMIN` in its namespace.
pub(super) fn put_up(index: u32) -> Result<(), Errno> {
    ask(libc::RTM_NEWLINK, libc::NLM_F_ACK, index, libc::IFF_UP).map(drop)
}

/// Sends one request about one link; the `flags` of the interface are the ones to set. The answer without its
/// header, nothing for a bare acknowledgement.
fn ask(kind: u16, mode: i32, index: u32, flags: i32) -> Result<Vec<u8>, Errno> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::NetlinkRoute),
    )?;
    let length = (HEADER_BYTES + INFO_BYTES) as u32;
    let mode = (libc::NLM_F_REQUEST | mode) as u16;
    let flags = (flags as u32).to_ne_bytes();
    let request = [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &mode.to_ne_bytes(),
        &[0; 8], // sequence number and sender, of no use to one request on a socket of its own
        &[0; 4], // any address family, any type of hardware
        &index.to_ne_bytes(),
        &flags,
        &flags, // which of them to change
    ]
    .concat();
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;

    let mut answer = vec![0; ANSWER_BYTES_MAX];
    // With MSG_TRUNC the length is that of the whole answer, whether it fits or not.
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_TRUNC)?;
    answer.get(..length).and_then(body).unwrap_or(Err(Errno::EPROTO))
}

/// An answer's first message without its header, or the error that it reports.
fn body(answer: &[u8]) -> Option<Result<Vec<u8>, Errno>> {
    let length = u32_at(answer, 0)? as usize;
    let body = answer.get(HEADER_BYTES..length)?;
    if i32::from(u16_at(answer, 4)?) != libc::NLMSG_ERROR {
        return Some(Ok(body.to_vec()));
    }
    Some(match u32_at(body, 0)? as i32 {
        0 => Ok(vec![]),
        errno => Err(Errno::from_raw(errno.saturating_neg())),
    })
}

/// Reads the `ifinfomsg` of a link and the attributes behind it.
fn parse(index: u32, link: &[u8]) -> Option<State> {
    let up = u32_at(link, 8)? & libc::IFF_UP as u32 != 0;
    let mut rest = link.get(INFO_BYTES..)?;
    loop {
        let length = usize::from(u16_at(rest, 0)?);
        if u16_at(rest, 2)? == libc::IFLA_MTU {
            return Some(State { index, up, mtu: u32_at(rest, 4)? });
        }
        // A length below the header's own would have this go round for ever.
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_known() {
        let state = query("lo").unwrap();
        assert_eq!((state.index, state.mtu), (1, 65_536));
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert_eq!(query("guestnet-none"), Err(Errno::ENODEV));
        assert_eq!(put_up(u32::MAX / 2), Err(Errno::ENODEV));
    }

    #[test]
    fn answers_cut_anywhere_do_no_harm() {
        let info = [&[0; 8][..], &libc::IFF_UP.to_ne_bytes(), &[0; 4]].concat();
        let mtu = [&8u16.to_ne_bytes()[..], &libc::IFLA_MTU.to_ne_bytes(), &1500u32.to_ne_bytes()].concat();
        let name = [&6u16.to_ne_bytes()[..], &libc::IFLA_IFNAME.to_ne_bytes(), b"gn\0\0"].concat();
        let whole = [info, name, mtu].concat();
        assert_eq!(parse(7, &whole), Some(State { index: 7, up: true, mtu: 1500 }));
        for length in 0..whole.len() {
            assert_eq!(parse(7, &whole[..length]), None);
        }
        assert_eq!(parse(7, &[0; 64]), None);
    }
}
