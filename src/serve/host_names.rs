//! The host names to which a listener answers.
//!
//! A page in a browser may name a host of its own, and let that name lead to this machine (DNS rebinding). It then sends
//! that name, and gets no answer.

use std::net::IpAddr;

use hyper::{Request, header::HOST, http::uri::Authority};

/// The names that the user allows.
#[derive(Debug, Default)]
pub struct HostNames(Vec<String>);

impl HostNames {
    pub fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|name| plain(name)).collect())
    }

    /// Whether `request`, which came to the address `local`, names another host, or none.
    pub fn is_foreign<T>(&self, request: &Request<T>, local: IpAddr) -> bool {
        let mut named = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else { return true };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let is_known = |it: &Authority| self.is_known(it.host(), local);
        // A request to a proxy names a host in its first line as well.
        !host.as_ref().is_some_and(is_known) || !request.uri().authority().is_none_or(is_known)
    }

    fn is_known(&self, host: &str, local: IpAddr) -> bool {
        let host = plain(host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address.map(|it| it.to_canonical()) {
            Ok(address) => address.is_loopback() || address == local.to_canonical() || self.0.contains(&host),
            Err(_) => host == "localhost" || self.0.contains(&host),
        }
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let names = HostNames::new(&["metrics.example".to_owned(), "198.51.100.7".to_owned()]);
        names.is_foreign(&request.body(()).expect("a request"), [192, 0, 2, 7].into())
    }

    #[test]
    fn loopback_the_own_address_and_allowed_names_are_answered() {
        for host in [
            "localhost",
            "LocalHost.:9464",
            "127.0.0.1:9464",
            "[::1]:9464",
            "192.0.2.7:9464",
            "[::ffff:192.0.2.7]:9464",
            "Metrics.Example:80",
            "198.51.100.7",
        ] {
            assert!(!is_foreign("/metrics", &[host]), "{host}");
        }
        assert!(!is_foreign("http://localhost:9464/metrics", &["localhost:9464"]));
    }

    #[test]
    fn every_other_name_is_foreign() {
        for host in
            ["evil.example", "localhost.evil.example", "192.0.2.8", "127.0.0.1.evil.example", "", "a b", "@"]
        {
            assert!(is_foreign("/metrics", &[host]), "{host}");
        }
        assert!(is_foreign("/metrics", &[]), "none at all");
        assert!(is_foreign("/metrics", &["localhost", "evil.example"]));
        assert!(is_foreign("http://evil.example/metrics", &["localhost"]));
    }
}
