//! The socket on which a listener accepts: TCP, or a unix socket that goes at the end.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net as unix,
    },
    path::{Path, PathBuf},
};

use hyper::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use super::{HostNames, ListenAddress};
use crate::paths::FileId;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen at {place}: {source}; give another address, or end what listens there")]
    Taken { place: String, source: io::Error },
    #[error("cannot listen at {place}: {source}")]
    Start { place: String, source: io::Error },
    #[error("{} is there and is no socket that waltop left: remove it, or give another path", .path.display())]
    NotOurs { path: PathBuf },
    #[error("another process listens at {}: end it, or give another path", .path.display())]
    InUse { path: PathBuf },
}

/// A socket that is bound.
#[derive(Debug)]
pub enum BoundSocket {
    Tcp { socket: std::net::TcpListener, place: String },
    Unix { socket: unix::UnixListener, place: String, file: SocketFile },
}

/// The file of a unix socket. It is removed with this, unless another one is at its path by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// What is accepted on.
pub enum AcceptingSocket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// Who has connected, as far as answers differ by it.
#[derive(Debug, Clone, Copy)]
pub enum AcceptedPeer {
    /// It reached this address of the machine.
    Tcp(IpAddr),
    Unix,
}

/// A connection of either kind.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

impl BoundSocket {
    pub fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        let place = address.to_string();
        match address {
            ListenAddress::Tcp(address) => {
                let bound = std::net::TcpListener::bind(address).and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok((socket.local_addr()?, socket))
                });
                let (local, socket) = bound.map_err(|source| ListenError::Taken { place, source })?;
                Ok(Self::Tcp { socket, place: ListenAddress::Tcp(local).to_string() })
            }
            ListenAddress::Unix(path) => {
                remove_leftover(path)?;
                let bound = bind_for_owner(path);
                let (socket, file) =
                    bound.map_err(|source| ListenError::Taken { place: place.clone(), source })?;
                Ok(Self::Unix { socket, place, file })
            }
        }
    }

    pub fn place(&self) -> &str {
        match self {
            Self::Tcp { place, .. } | Self::Unix { place, .. } => place,
        }
    }

    /// Inside a runtime.
    pub fn listener(self) -> io::Result<AcceptingSocket> {
        Ok(match self {
            Self::Tcp { socket, .. } => AcceptingSocket::Tcp(TcpListener::from_std(socket)?),
            Self::Unix { socket, file, .. } => {
                AcceptingSocket::Unix { listener: UnixListener::from_std(socket)?, _file: file }
            }
        })
    }
}

impl AcceptingSocket {
    pub async fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, AcceptedPeer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let local = stream.local_addr()?.ip();
                Ok((Box::new(stream), AcceptedPeer::Tcp(local)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), AcceptedPeer::Unix))
            }
        }
    }
}

impl AcceptedPeer {
    /// Whether only the owner of the socket can connect so.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Unix)
    }

    /// Whether `request` names a host to which `names` does not answer. No browser connects to a unix socket.
    pub fn is_foreign<T>(self, request: &Request<T>, names: &HostNames) -> bool {
        match self {
            Self::Tcp(local) => names.is_foreign(request, local),
            Self::Unix => false,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_it = fs::symlink_metadata(&self.path).is_ok_and(|facts| FileId::of(&facts) == self.id);
        if is_it {
            // Another process may remove it at the same time.
            let _ = fs::remove_file(&self.path);
        }
    }
}

// A socket of this user on which no process listens was left by a killed waltop.
fn remove_leftover(path: &Path) -> Result<(), ListenError> {
    let Ok(facts) = fs::symlink_metadata(path) else { return Ok(()) };
    let is_own = facts.uid() == rustix::process::geteuid().as_raw();
    if !facts.file_type().is_socket() || !is_own {
        return Err(ListenError::NotOurs { path: path.to_owned() });
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let place = path.display().to_string();
            fs::remove_file(path).map_err(|source| ListenError::Start { place, source })
        }
        _ => Err(ListenError::InUse { path: path.to_owned() }),
    }
}

// It gets its path once only its owner can connect to it, and never in the place of another file.
fn bind_for_owner(path: &Path) -> io::Result<(unix::UnixListener, SocketFile)> {
    let path = std::path::absolute(path)?;
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = tempfile::Builder::new().prefix(".waltop").tempdir_in(parent)?;
    let new = folder.path().join("s");
    let socket = unix::UnixListener::bind(&new)?;
    socket.set_nonblocking(true)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    let id = FileId::of(&fs::symlink_metadata(&new)?);
    fs::hard_link(&new, &path)?;
    Ok((socket, SocketFile { path, id }))
}
