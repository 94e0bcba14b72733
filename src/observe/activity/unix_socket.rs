//! The other end of a Unix-domain socket, by the kernel's `NETLINK_SOCK_DIAG` (`sock_diag(7)`).

use std::io;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// The inode of the socket that the Unix-domain socket with this inode is connected to; `None` if it
/// is not connected, or the kernel does not answer.
pub fn peer_of(inode: u64) -> Option<u64> {
    peer_in(&ask(u32::try_from(inode).ok()?).ok()?)
}

/// Whether the Unix-domain socket with this inode was connected, and its other end is closed; `false` if the kernel does
/// not answer.
pub fn is_left_alone(inode: u64) -> bool {
    let answer = u32::try_from(inode).ok().and_then(|inode| ask(inode).ok());
    answer.is_some_and(|answer| peer_attribute(&answer) == Some(0))
}

fn ask(inode: u32) -> io::Result<Vec<u8>> {
    let socket = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::SOCK_DIAG),
    )?;
    net::sendto(&socket, &request(inode), SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    let mut answer = vec![0; 4096];
    // The kernel answers before `sendto` returns.
    let (length, _) = net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

// `struct nlmsghdr` and `struct unix_diag_req` (linux/netlink.h, linux/unix_diag.h).
fn request(inode: u32) -> Vec<u8> {
    const LENGTH: u32 = 16 + 24;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const AF_UNIX: u8 = 1;
    const ANY_STATE: u32 = u32::MAX;
    const UDIAG_SHOW_PEER: u32 = 4;
    const NO_COOKIE: u64 = u64::MAX;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([AF_UNIX, 0, 0, 0]);
    message.extend(ANY_STATE.to_ne_bytes());
    message.extend(inode.to_ne_bytes());
    message.extend(UDIAG_SHOW_PEER.to_ne_bytes());
    message.extend(NO_COOKIE.to_ne_bytes());
    message
}

// After the header and the `struct unix_diag_msg`, 16 bytes each, come attributes: length, type, content, padded to 4
// bytes.
fn peer_in(answer: &[u8]) -> Option<u64> {
    peer_attribute(answer).filter(|inode| *inode != 0)
}

// The inode of the other end, 0 if it is closed; `None` if it was never connected.
fn peer_attribute(answer: &[u8]) -> Option<u64> {
    const UNIX_DIAG_PEER: u16 = 2;
    let number = |at: usize| Some(u16::from_ne_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    if number(4)? != 20 {
        return None;
    }
    let mut at = 32;
    loop {
        let length = usize::from(number(at)?);
        if number(at + 2)? == UNIX_DIAG_PEER {
            let inode = answer.get(at + 4..at + 8)?;
            return Some(u32::from_ne_bytes(inode.try_into().ok()?).into());
        }
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd, unix::net::UnixStream};

    use super::*;
    use crate::observe::proc::ProcessFolder;

    fn inode(stream: &UnixStream) -> u64 {
        let target =
            ProcessFolder::own("/proc".as_ref()).descriptor(stream.as_raw_fd()).target().expect("a link");
        let text = target.to_string_lossy().into_owned();
        text.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("an inode")
    }

    #[test]
    fn the_kernel_names_the_other_end_of_a_unix_socket() {
        let (left, right) = UnixStream::pair().expect("a pair");
        let (one, two) = (inode(&left), inode(&right));
        // A kernel may be built without this question.
        if let Some(peer) = peer_of(one) {
            assert_eq!((peer, peer_of(two)), (two, Some(one)));
            assert!(!is_left_alone(one));
            drop(right);
            assert!(is_left_alone(one) && peer_of(one).is_none(), "the other end is closed");
        }
        assert_eq!(peer_of(u64::from(u32::MAX) + 1), None);
        // A message has a header of 16 bytes, which begins with its length.
        if let Ok(answer) = ask(1) {
            assert!(answer.len() >= 16 && answer[..4] != [0; 4], "{answer:?}");
        }
    }

    #[test]
    fn an_answer_that_ends_early_has_no_peer() {
        for length in 0..40 {
            let mut answer = vec![0; length];
            if length > 5 {
                answer[4] = 20;
            }
            assert_eq!(peer_in(&answer), None);
        }
    }

    #[test]
    fn a_question_has_the_length_that_its_header_says_and_names_the_socket() {
        let question = request(0x0102_0304);
        let word = |at: usize| u32::from_ne_bytes(question[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(0) as usize, question.len()), (40, 40));
        // After the header: the family, the states, and the inode.
        assert_eq!((question[16], word(20), word(24)), (1, u32::MAX, 0x0102_0304));
    }

    #[test]
    fn the_other_end_is_found_behind_other_attributes() {
        let attribute = |kind: u16, content: &[u8]| {
            let length = u16::try_from(4 + content.len()).expect("short");
            let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let answer = |attributes: &[Vec<u8>]| {
            let mut bytes = vec![0; 32];
            bytes[4] = 20;
            bytes.extend(attributes.concat());
            bytes
        };
        let peer = |inode: u32| attribute(2, &inode.to_ne_bytes());
        assert_eq!(peer_in(&answer(&[peer(4711)])), Some(4711));
        assert_eq!(peer_in(&answer(&[attribute(0, b"name"), attribute(6, b"x"), peer(4711)])), Some(4711));
        assert_eq!(peer_in(&answer(&[peer(0)])), None, "it is not connected");
    }
}
