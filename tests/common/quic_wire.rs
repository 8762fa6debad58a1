//! Somebody at the wire between the two of a pair, who does to their datagrams what he likes.

use guestnet::network::Frame;

use super::PORT;

/// Datagrams that are remembered for being sent once more.
const HISTORY_MAX: usize = 64;

/// What is done to one datagram.
#[derive(Clone, Debug)]
pub enum Deed {
    Pass,
    Drop,
    /// So many of its bytes are left.
    Cut(u16),
    Flip(u16),
    Twice,
    /// It comes after the next one.
    Hold,
    /// One that came before comes again, and then this one.
    Replay(u16),
    /// Bytes of somebody's own go first.
    Invent(Vec<u8>),
    /// More bytes stand behind it.
    Stretch(Vec<u8>),
    /// It seems to come from another port of the same host.
    Elsewhere(u8),
}

/// A UDP datagram over IPv4, in its frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    frame: Vec<u8>,
}

impl Datagram {
    /// `None`: the frame is something else.
    pub fn parse(frame: &[u8]) -> Option<Datagram> {
        let is_udp = frame.len() >= 42 && frame[12..15] == [8, 0, 0x45] && frame[23] == 17;
        is_udp.then(|| {
            let length = 34 + usize::from(u16::from_be_bytes([frame[38], frame[39]]));
            Datagram { frame: frame[..length.min(frame.len())].to_vec() }
        })
    }

    pub fn payload(&self) -> &[u8] {
        &self.frame[42..]
    }

    pub fn from(&self) -> ([u8; 4], u16) {
        let f = &self.frame;
        ([f[26], f[27], f[28], f[29]], u16::from_be_bytes([f[34], f[35]]))
    }

    pub fn to(&self) -> ([u8; 4], u16) {
        let f = &self.frame;
        ([f[30], f[31], f[32], f[33]], u16::from_be_bytes([f[36], f[37]]))
    }

    pub fn with(&self, payload: &[u8]) -> Datagram {
        Datagram { frame: [&self.frame[..42], payload].concat() }
    }

    pub fn coming_from(&self, (address, port): ([u8; 4], u16)) -> Datagram {
        let mut frame = self.frame.clone();
        frame[26..30].copy_from_slice(&address);
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        Datagram { frame }
    }

    /// With lengths and the header's checksum as they should be, and none over the payload (RFC 768 has that).
    pub fn into_frame(mut self) -> Frame {
        let length = self.frame.len();
        self.frame[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
        self.frame[38..40].copy_from_slice(&((length - 34) as u16).to_be_bytes());
        self.frame[40..42].fill(0);
        self.frame[24..26].fill(0);
        let words =
            self.frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        self.frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        Frame::from_outside(self.frame.into())
    }
}

/// Whoever is at the wire.
#[derive(Default)]
pub struct Wire {
    deeds: Vec<Deed>,
    next: usize,
    held: Vec<Datagram>,
    history: Vec<Datagram>,
}

impl Wire {
    /// Does one deed after the other, and then nothing more.
    pub fn new(deeds: Vec<Deed>) -> Wire {
        Wire { deeds, ..Wire::default() }
    }

    pub fn treat(&mut self, datagram: Datagram) -> Vec<Datagram> {
        let Some(deed) = self.deeds.get(self.next) else {
            return self.held.drain(..).chain([datagram]).collect();
        };
        self.next += 1;
        let payload = datagram.payload();
        let mut out = match deed {
            Deed::Pass => vec![datagram.clone()],
            Deed::Drop => vec![],
            Deed::Cut(left) => vec![datagram.with(&payload[..usize::from(*left) % (payload.len() + 1)])],
            Deed::Flip(bit) => {
                let mut bytes = payload.to_vec();
                let bit = usize::from(*bit) % (8 * bytes.len().max(1));
                bytes.get_mut(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
                vec![datagram.with(&bytes)]
            }
            Deed::Twice => vec![datagram.clone(), datagram.clone()],
            Deed::Hold => {
                self.held.push(datagram.clone());
                vec![]
            }
            Deed::Replay(which) => {
                let same_way = self.history.iter().filter(|past| past.to() == datagram.to());
                let past: Vec<_> = same_way.collect();
                let again = past.get(usize::from(*which) % past.len().max(1)).map(|past| (*past).clone());
                again.into_iter().chain([datagram.clone()]).collect()
            }
            Deed::Invent(bytes) => vec![datagram.with(bytes), datagram.clone()],
            Deed::Stretch(bytes) => vec![datagram.with(&[payload, bytes].concat())],
            Deed::Elsewhere(port) => {
                let (address, _) = datagram.from();
                // A server's own port would be nobody's then.
                match datagram.to().1 == PORT {
                    true => vec![datagram.coming_from((address, 1 + u16::from(*port)))],
                    false => vec![datagram.clone()],
                }
            }
        };
        if !matches!(deed, Deed::Hold) {
            out.append(&mut self.held);
        }
        if self.history.len() < HISTORY_MAX {
            self.history.push(datagram);
        }
        out
    }
}
