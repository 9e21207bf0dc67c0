//! Bad lines and bad answers, from a server that is as broken as it is told: nothing is lost, and the reason is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use outpost::adobe::{Pin, ProxyOptions, TlsOptions};
use outpost::core::forwarding::route::Mode;
use outpost::device::secret::Secret;
use outpost::forward::ForwarderRules;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, PublicKeyData, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Running, Setup, acme, rules, used, write_private};

pub const YES: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\ntrueRequest successfully submitted\n";

/// Serves each connection with a function, until the test ends.
pub async fn server<F, R>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads the head of a request, and gives it; what follows is left.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read > 0) {
        seen.push(byte[0]);
    }
    seen
}

/// What a server answers to each request.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, parts: Vec<Vec<u8>>) {
    read_head(&mut stream).await;
    for part in parts {
        if stream.write_all(&part).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// An agent that sends there sees the link so, with such a reason, and keeps what it has.
async fn check(endpoint: &str, ca_file: Option<&std::path::Path>, link: &str, reason: &str) {
    let tls = TlsOptions { ca_file: ca_file.map(Into::into), ..TlsOptions::default() };
    check_with(Setup { tls, ..Setup::default() }, endpoint, link, reason).await;
}

async fn check_with(setup: Setup, endpoint: &str, link: &str, reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { timeout: Duration::from_millis(700), ..setup };
    let mut agent = Running::start(&setup, dir.path(), endpoint, None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = agent.wait_status(|status| status.link != "unknown").await;
    let told = status.link_reason.unwrap_or_default();
    assert_eq!(status.link, link, "{told}");
    assert!(told.contains(reason), "{told}");
    assert_eq!((status.pending.profiles, status.delivered.updates, status.rejected.updates), (1, 0, 0));
    agent.stop().await;
}

async fn check_answer(parts: Vec<Vec<u8>>, link: &str, reason: &str) {
    let address = server(move |stream| answer(stream, parts.clone())).await;
    check(&format!("http://{address}"), None, link, reason).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_shorter_than_it_says_is_no_answer() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ntrueRequest".to_vec();
    check_answer(vec![short], "offline", "broke off").await;
    check_answer(vec![b"HTTP/1.1 200 O".to_vec()], "offline", "broke off").await;
    check_answer(vec![], "offline", "broke off").await;
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    check_answer(vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()], "offline", "broke off").await;
}

#[tokio::test]
async fn endless_headers_end_the_request() {
    let mut parts = vec![b"HTTP/1.1 200 OK\r\n".to_vec()];
    parts.extend((0..20_000).map(|number| format!("X-{number}: {}\r\n", "x".repeat(100)).into_bytes()));
    check_answer(parts, "offline", "broke off").await;
}

#[tokio::test]
async fn of_an_endless_answer_only_the_beginning_is_read() {
    let sent_mebibytes = Arc::new(AtomicUsize::new(0));
    let counter = sent_mebibytes.clone();
    let endless = async |mut stream: TcpStream, counter: Arc<AtomicUsize>| {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000000\r\n\r\n";
        let _ = stream.write_all(head).await;
        let part = vec![b'x'; 1 << 20];
        for _ in 0..1_000 {
            if stream.write_all(&part).await.is_err() {
                return;
            }
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    let address = server(move |stream| endless(stream, counter.clone())).await;
    check(&format!("http://{address}"), None, "blocked", "login page").await;
    // What the kernel holds for a reader that went away is a few.
    assert!(sent_mebibytes.load(Ordering::Relaxed) < 100);
}

#[tokio::test]
async fn an_answer_of_a_byte_a_second_and_one_that_never_comes_time_out() {
    let slow = async |mut stream: TcpStream| {
        read_head(&mut stream).await;
        for byte in YES {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let address = server(slow).await;
    check(&format!("http://{address}"), None, "offline", "did not answer in time").await;

    let address = server(async |mut stream: TcpStream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    check(&format!("http://{address}"), None, "offline", "did not answer in time").await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_and_a_name_that_nobody_knows_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    check(&format!("http://{address}"), None, "offline", "no connection to Target").await;
    check("https://target.invalid", None, "offline", "not found (DNS)").await;
}

/// A server with a certificate, and the file with which a client may trust it.
pub async fn tls_server(certified: CertifiedKey<KeyPair>) -> (SocketAddr, tempfile::NamedTempFile) {
    tls_server_for(certified, None).await
}

/// As [`tls_server`]; it wants a certificate of its clients, if one is given that issues them.
async fn tls_server_for(
    certified: CertifiedKey<KeyPair>,
    issuer: Option<&CertifiedKey<KeyPair>>,
) -> (SocketAddr, tempfile::NamedTempFile) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let builder = match issuer {
        Some(issuer) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(issuer.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
        None => ServerConfig::builder().with_no_client_auth(),
    };
    let config = builder.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certified.cert.pem()).unwrap();
    let address = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, vec![YES.to_vec()]).await;
            }
        }
    })
    .await;
    (address, file)
}

pub fn certificate(name: &str, years: (i32, i32)) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

#[tokio::test]
async fn certificates_that_are_wrong_are_told_apart_and_nothing_is_sent() {
    let (address, ca) = tls_server(certificate("localhost", (2020, 2090))).await;
    let endpoint = format!("https://localhost:{}", address.port());
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), certificate("other", (2020, 2090)).cert.pem()).unwrap();
    check(&endpoint, Some(other.path()), "offline", "issued by an unknown authority").await;
    let by_address = format!("https://127.0.0.1:{}", address.port());
    check(&by_address, Some(ca.path()), "offline", "for another host").await;

    let (address, ca) = tls_server(certificate("localhost", (2020, 2021))).await;
    let endpoint = format!("https://localhost:{}", address.port());
    check(&endpoint, Some(ca.path()), "offline", "has expired").await;
    let (address, ca) = tls_server(certificate("localhost", (2080, 2090))).await;
    let endpoint = format!("https://localhost:{}", address.port());
    check(&endpoint, Some(ca.path()), "offline", "not valid yet").await;
}

#[tokio::test]
async fn who_issued_a_certificate_is_told_whether_or_not_it_is_trusted() {
    let (address, _ca_file) = tls_server(certificate("localhost", (2020, 2040))).await;
    let options = outpost::adobe::ClientOptions {
        destination: acme(&format!("https://localhost:{}", address.port())),
        token: None,
        http: outpost::adobe::HttpOptions {
            timeout: std::time::Duration::from_secs(5),
            connections: 1,
            proxy: None,
            tls: Default::default(),
        },
    };
    let issuer = outpost::adobe::diagnose::issuer(&options).await.unwrap().unwrap();
    assert_eq!(issuer.not_after.to_string(), "2040-01-01T00:00:00Z");
    assert!(!issuer.issuer.is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_right_is_trusted() {
    let (address, ca) = tls_server(certificate("localhost", (2020, 2090))).await;
    let dir = tempfile::tempdir().unwrap();
    let tls = TlsOptions { ca_file: Some(ca.path().into()), ..TlsOptions::default() };
    let endpoint = format!("https://localhost:{}", address.port());
    let mut agent = Running::start(&Setup { tls, ..Setup::default() }, dir.path(), &endpoint, None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!(agent.wait_drained().await.delivered.updates, 1);
    agent.stop().await;
}

/// An agent that sends there has delivered what it had.
async fn delivers(tls: TlsOptions, endpoint: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Running::start(&Setup { tls, ..Setup::default() }, dir.path(), endpoint, None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!(agent.wait_drained().await.delivered.updates, 1);
    agent.stop().await;
}

#[tokio::test]
async fn with_pins_a_trusted_certificate_must_have_one_of_these_keys() {
    let certified = certificate("localhost", (2020, 2090));
    let pin = |key: &KeyPair| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(key.subject_public_key_info()));
        Pin::new(&format!("sha256/{hash}")).unwrap()
    };
    let (right, wrong) = (pin(&certified.signing_key), pin(&KeyPair::generate().unwrap()));
    let (address, ca) = tls_server(certified).await;
    let endpoint = format!("https://localhost:{}", address.port());
    let tls = |pins: Vec<Pin>| TlsOptions { ca_file: Some(ca.path().into()), pins, ..TlsOptions::default() };
    delivers(tls(vec![wrong.clone(), right.clone()]), &endpoint).await;
    let setup = Setup { tls: tls(vec![wrong]), ..Setup::default() };
    check_with(setup, &endpoint, "offline", "none of pins in [target.http]").await;
    // A pin takes the place of nothing: who is not trusted is not let in by it.
    let setup = Setup { tls: TlsOptions { pins: vec![right], ..TlsOptions::default() }, ..Setup::default() };
    check_with(setup, &endpoint, "offline", "issued by an unknown authority").await;
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_ours_and_its_key_is_closed_to_others() {
    let ours = certificate("device-1", (2020, 2090));
    let (address, ca) = tls_server_for(certificate("localhost", (2020, 2090)), Some(&ours)).await;
    let endpoint = format!("https://localhost:{}", address.port());
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("client.pem"), dir.path().join("client.key"));
    std::fs::write(&cert, ours.cert.pem()).unwrap();
    write_private(&key, &ours.signing_key.serialize_pem());
    let tls = TlsOptions { ca_file: Some(ca.path().into()), ..TlsOptions::default() };
    let ours = TlsOptions { client_cert: Some((cert, key.clone())), ..tls.clone() };
    delivers(ours.clone(), &endpoint).await;
    let words = "does not accept this device's certificate";
    check_with(Setup { tls, ..Setup::default() }, &endpoint, "offline", words).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let settings = Setup { tls: ours, ..Setup::default() }.settings(&endpoint);
        let refused = outpost::adobe::Client::new(&settings.target.client).err().unwrap().to_string();
        assert!(refused.ends_with(&format!("run `chmod 600 {}`", key.display())), "{refused}");
    }
}

#[tokio::test]
async fn a_certificate_that_changes_in_its_file_holds_without_a_restart() {
    let (address, ca) = tls_server(certificate("localhost", (2020, 2090))).await;
    let endpoint = format!("https://localhost:{}", address.port());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, certificate("other", (2020, 2090)).cert.pem()).unwrap();
    let tls = TlsOptions { ca_file: Some(file.clone()), ..TlsOptions::default() };
    let mut agent = Running::start(&Setup { tls, ..Setup::default() }, dir.path(), &endpoint, None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    agent.wait_status(|status| status.link == "offline").await;
    std::fs::write(&file, "half a certif").unwrap();
    std::fs::rename(ca.path(), &file).unwrap();
    assert_eq!(agent.wait_drained().await.delivered.updates, 1);
    agent.stop().await;
}

#[tokio::test]
async fn a_proxy_is_told_who_we_are_and_hosts_that_are_excepted_do_without_it() {
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let heads = seen.clone();
    let proxy = server(move |mut stream| {
        let heads = heads.clone();
        async move {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            *heads.lock().unwrap() = String::from_utf8(head).unwrap();
            let _ = stream.write_all(YES).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let options = |exceptions: &str| ProxyOptions {
        url: Secret::Text(SecretString::from(format!("http://{proxy}"))),
        user: Some("kiosk".to_owned()),
        password: Some(Secret::Text(SecretString::from("s3cret"))),
        exceptions: Some(exceptions.to_owned()),
    };
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { proxy: Some(options("elsewhere.example")), ..Setup::default() };
    let mut agent = Running::start(&setup, dir.path(), "http://127.0.0.1:9", None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!(agent.wait_drained().await.delivered.updates, 1);
    agent.stop().await;
    let head = seen.lock().unwrap().clone();
    assert!(head.starts_with("POST http://127.0.0.1:9/m2/acme/profile/update HTTP/1.1"), "{head}");
    let credentials = BASE64_STANDARD.encode("kiosk:s3cret");
    assert!(
        head.to_lowercase().contains(&format!("proxy-authorization: basic {}", credentials.to_lowercase())),
        "{head}"
    );
    let setup = Setup { proxy: Some(options("127.0.0.1")), ..Setup::default() };
    check_with(setup, "http://127.0.0.1:9", "offline", "no connection to Target").await;
}

#[tokio::test]
async fn older_tls_is_refused() {
    // A server that speaks TLS 1.1 and no newer: its first words choose that version and a cipher of its time.
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xC0, 0x13, 0]);
    let address = server(move |mut stream| {
        let hello = hello.clone();
        async move {
            let mut start = [0; 5];
            let _ = stream.read_exact(&mut start).await;
            let _ = stream.write_all(&hello).await;
            let _ = stream.read(&mut [0; 1_024]).await;
        }
    })
    .await;
    check(&format!("https://localhost:{}", address.port()), None, "offline", "speaks neither TLS 1.2 nor TLS 1.3")
        .await;
}

#[tokio::test]
async fn a_total_that_target_shows_as_nothing_that_can_be_read_is_not_overwritten() {
    let (reads, updates) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (reads.clone(), updates.clone());
    let target = async |mut stream: TcpStream, (reads, updates): (Arc<AtomicUsize>, Arc<AtomicUsize>)| {
        let head = read_head(&mut stream).await;
        let profile = r#"{"client":"acme","profileAttributes":{"visits":{"value":[7]},"spend":{"value":"1"}}}"#;
        let answer = if head.starts_with(b"GET") {
            reads.fetch_add(1, Ordering::Relaxed);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{profile}", profile.len()).into_bytes()
        } else {
            updates.fetch_add(1, Ordering::Relaxed);
            YES.to_vec()
        };
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    };
    let address = server(move |stream| target(stream, counters.clone())).await;
    let forwarding = ForwarderRules { late_after: Some(Duration::from_secs(900)), ..rules(Mode::Single) };
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { forwarding, ..Setup::default() };
    let mut agent = Running::start(&setup, dir.path(), &format!("http://{address}"), None).await;
    agent.record(&used("1", "7", "Lund", 1.0)).await;
    // It was read, waited, and was read again.
    agent.wait_status(|_| reads.load(Ordering::Relaxed) >= 2).await;
    let status = agent.status().await;
    assert_eq!((status.pending.profiles, status.link.as_str()), (1, "online"));
    assert_eq!(updates.load(Ordering::Relaxed), 0, "its sum would undo others'");
    agent.stop().await;
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_named_with_its_status() {
    let through = |url: String| {
        let proxy = ProxyOptions {
            url: Secret::Text(SecretString::from(url)),
            user: None,
            password: None,
            exceptions: Some(String::new()),
        };
        Setup { proxy: Some(proxy), ..Setup::default() }
    };
    for (status, words) in [
        ("403 Forbidden", "the proxy refuses to let Target's host pass (403)"),
        ("407 Proxy Authentication Required", "the proxy wants credentials (407)"),
        ("502 Bad Gateway", "the proxy does not reach Target's host (502)"),
        ("418 No", "the proxy does not let Target's host pass (it answers 418)"),
    ] {
        let answered = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
        let proxy = server(move |stream| answer(stream, vec![answered.clone()])).await;
        check_with(through(format!("http://{proxy}")), "https://target.example", "blocked", words).await;
    }
    let unknown = through("http://proxy.invalid:3128".to_owned());
    check_with(unknown, "https://target.example", "offline", "the name of the proxy of [target.http] is not found")
        .await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let words = "no connection to the proxy of [target.http]: it is refused";
    check_with(through(format!("http://{nobody}")), "https://target.example", "offline", words).await;
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_said_without_words_of_a_library() {
    // A proxy that shows the certificate of its own authority in the place of each host's.
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let signing_key = KeyPair::generate().unwrap();
    let authority = CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key };
    let (address, ca) = tls_server(authority).await;
    let endpoint = format!("https://localhost:{}", address.port());
    check(&endpoint, Some(ca.path()), "offline", "the certificate is not one of a server").await;
    let plain = server(async |mut stream: TcpStream| {
        let _ = stream.write_all(YES).await;
        let _ = stream.shutdown().await;
    })
    .await;
    let endpoint = format!("https://localhost:{}", plain.port());
    check(&endpoint, None, "offline", "what answers does not speak TLS").await;
}
