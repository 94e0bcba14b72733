//! The address of `--listen`.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    /// A socket that only its owner can use.
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("give an address and a port as in 127.0.0.1:9464, or a socket as in unix:/run/waltop.sock")]
pub struct AddressError;

impl ListenAddress {
    /// Whether no other machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = !path.is_empty() && !path.ends_with('/');
            return if is_path { Ok(Self::Unix(path.into())) } else { Err(AddressError) };
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| AddressError)?;
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| AddressError)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_a_socket_a_path() {
        for (text, is_loopback) in [
            ("127.0.0.1:9464", true),
            ("localhost:9464", true),
            ("[::1]:9464", true),
            ("[::ffff:127.0.0.1]:9464", true),
            ("unix:/run/waltop.sock", true),
            ("0.0.0.0:9464", false),
            ("[::]:9464", false),
            ("192.0.2.7:0", false),
        ] {
            let address: ListenAddress = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(address.is_loopback(), is_loopback, "{text}");
        }
        for text in
            ["", "9464", ":9464", "127.0.0.1", "localhost", "localhost:x", "host:9464", "unix:", "unix:/run/"]
        {
            assert_eq!(text.parse::<ListenAddress>(), Err(AddressError), "{text}");
        }
    }
}
