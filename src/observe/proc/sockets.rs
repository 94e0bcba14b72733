//! `/proc/PID/net`: the sockets in the network namespace of a process, by their inodes.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::ProcessFolder;
use crate::bounded::{self, ReadLimits};

/// A server may have a hundred thousand connections, each a line of 150 bytes.
const LIMITS: ReadLimits = ReadLimits { bytes: 16 << 20, time: Duration::from_millis(50) };

/// The names of the states of a TCP connection, from 1 on (`include/net/tcp_states.h` of the kernel).
const STATES: [&str; 12] = [
    "established",
    "syn-sent",
    "syn-received",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "closed",
    "close-wait",
    "last-ack",
    "listening",
    "closing",
    "new-syn-received",
];

/// A TCP socket of the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: &'static str,
    pub inode: u64,
}

/// A Unix-domain socket of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    pub inode: u64,
    /// Only a socket that was bound has one, so that a connecting end has none.
    pub path: Option<String>,
}

impl ProcessFolder {
    /// The TCP socket for which `wanted` is true.
    pub fn tcp_socket(&self, wanted: impl Fn(&TcpSocket) -> bool) -> Option<TcpSocket> {
        ["net/tcp", "net/tcp6"].iter().find_map(|table| {
            let mut found = None;
            bounded::each_line(File::open(self.0.join(table)).ok()?, LIMITS, |line| {
                found = std::str::from_utf8(line).ok().and_then(tcp).filter(&wanted);
                found.is_none()
            })
            .ok()?;
            found
        })
    }

    /// The Unix-domain socket with this inode.
    pub fn unix_socket(&self, inode: u64) -> Option<UnixSocket> {
        let mut found = None;
        bounded::each_line(File::open(self.0.join("net/unix")).ok()?, LIMITS, |line| {
            found = unix(&String::from_utf8_lossy(line)).filter(|socket| socket.inode == inode);
            found.is_none()
        })
        .ok()?;
        found
    }
}

// `0: 0100007F:1F90 0200007F:D2F0 01 00000000:00000000 00:00000000 00000000  1000  0  34567 1 …`
fn tcp(line: &str) -> Option<TcpSocket> {
    let mut fields = line.split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    let state = usize::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    Some(TcpSocket { local, remote, state: STATES.get(state.checked_sub(1)?)?, inode })
}

// Words of 32 bits in the byte order of the machine, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |number: usize| {
        let digits = address.get(number * 8..number * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

// `ffff…: 00000002 00000000 00010000 0001 01 34567 /run/a.sock`: the inode is the seventh field.
fn unix(line: &str) -> Option<UnixSocket> {
    let mut fields = line.split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let inode = fields.nth(5)?.parse().ok()?;
    let path: Vec<&str> = fields.collect();
    Some(UnixSocket { inode, path: Some(path.join(" ")).filter(|path| !path.is_empty()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_has_two_addresses_and_a_state() {
        let line = "   3: 0100007F:1F90 0500000A:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 34567 1 0";
        let socket = tcp(line).expect("a socket");
        assert_eq!(
            (socket.local.to_string(), socket.remote.to_string()),
            ("127.0.0.1:8080".into(), "10.0.0.5:443".into())
        );
        assert_eq!((socket.state, socket.inode), ("established", 34567));
        let line = line.replace("0500000A", "0000000000000000FFFF00000500000A");
        assert_eq!(tcp(&line).expect("a socket").remote.to_string(), "10.0.0.5:443");
        assert_eq!(tcp("  sl  local_address rem_address   st"), None, "the heading");
    }

    #[test]
    fn a_unix_socket_may_have_a_path() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 34567 /run/a b.sock";
        assert_eq!(unix(line), Some(UnixSocket { inode: 34567, path: Some("/run/a b.sock".to_owned()) }));
        let line = "0000000000000000: 00000003 00000000 00000000 0001 03 9";
        assert_eq!(unix(line), Some(UnixSocket { inode: 9, path: None }));
    }

    #[test]
    fn fuzz_net_tcp() {
        for_a_while("net_tcp", |runner| {
            let inputs = "[0-9]{0,4}:? [0-9A-F:]{0,40} [0-9A-F:]{0,40} [0-9A-F]{0,3}( [0-9:]{0,20}){0,8}";
            runner.run(&inputs, |text| {
                prop_assert!(tcp(&text).is_none_or(|socket| !socket.state.is_empty()));
                unix(&text);
                Ok(())
            })
        });
    }

    #[test]
    fn a_socket_is_found_in_the_table_of_its_family() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        let row = |remote: &str, inode: u64| {
            format!("   0: 0100007F:1F90 {remote}:01BB 01 0:0 0:0 0  1000  0 {inode} 1 0\n")
        };
        let heading = "  sl  local_address rem_address   st\n";
        let six = row("0000000000000000FFFF00000500000A", 8);
        proc.write("70/net/tcp", &format!("{heading}{}", row("0500000A", 7)));
        proc.write("70/net/tcp6", &format!("{heading}{six}"));
        let process = ProcessFolder::of(proc.path(), 70);
        let found = |inode| process.tcp_socket(|socket| socket.inode == inode).map(|it| it.remote.port());
        assert_eq!([7, 8, 9].map(found), [Some(443), Some(443), None]);
    }
}
