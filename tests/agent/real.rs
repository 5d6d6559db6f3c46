//! Real web servers, as Debian has them, on loopback: what they serve after an installation is what a client that
//! has only the root accepts, or the installation says what is missing.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use cmp_console::config::agent::Layout;

use super::port::free_port;
use super::*;

/// Whether a program is there. Where it has to be (`CI`), its absence is an error; elsewhere it is said.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.iter().any(|folder| folder.join(program).is_file());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "`{program}` is not installed"
    );
    if !found {
        eprintln!("skipped: `{program}` is not installed");
    }
    found
}

/// A server that is told to end, with its workers, when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

async fn start(command: &mut Command, port: u16) -> Running {
    let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap());
    let child = command
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    until("the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    })
    .await;
    running
}

/// A first set without proof, so that the server has something to start with; the agent is stopped then.
async fn furnished(layout: Layout) -> Night {
    let mut night = Night::start(None).await;
    night.stop_agent().await;
    (night.config.tls_address, night.config.reload) = (None, None);
    night.config.layout = layout;
    night.config.handshake_timeout_s = 5;
    night.start_agent(None).await;
    let csr = night.make_key("req_0", "ecdsa-p256").await;
    let first = night.ca.sign(&csr, 30);
    assert!(night.install("job_0", &first, &csr).await.done);
    night.stop_agent().await;
    night
}

/// The next certificate, with the server's reload and a proof.
async fn renewed(night: &mut Night, port: u16, reload: &str) -> JobResult {
    night.config.tls_address = Some(format!("127.0.0.1:{port}"));
    let reload = format!("PATH=$PATH:/usr/sbin:/usr/local/sbin; {reload}");
    night.config.reload = Some(["/bin/sh", "-c", &reload].map(str::to_owned).to_vec());
    night.start_agent(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let issued = night.ca.sign(&csr, 90);
    night.install("job_1", &issued, &csr).await
}

/// What `openssl s_client` with the root alone says.
fn accepted(night: &Night, port: u16) -> (bool, String) {
    let root = night.dir.path().join("root.pem");
    std::fs::write(&root, &night.ca.root_pem).unwrap();
    let output = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-servername",
            "site.example",
        ])
        .args([
            "-verify_return_error",
            "-verify_hostname",
            "site.example",
            "-CAfile",
        ])
        .arg(root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn nginx(night: &Night, port: u16) -> PathBuf {
    let dir = night.dir.path().display();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
        .concat();
    let ssl = night.install_dir();
    let ssl = ssl.display();
    let conf = night.dir.path().join("nginx.conf");
    let text = format!(
        "daemon off; worker_processes 3; pid {dir}/nginx.pid; error_log {dir}/error.log;\nevents {{}}\n\
         http {{ access_log off; {temp} server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {ssl}/site.pem; \
         ssl_certificate_key {ssl}/site.key; location / {{ return 200 ok; }} }} }}\n"
    );
    std::fs::write(&conf, text).unwrap();
    conf
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_serves_a_chain_that_the_root_alone_accepts_or_what_is_missing_is_named() {
    if !is_there("nginx") || !is_there("openssl") {
        return;
    }
    for (layout, missing) in [(Layout::FullChain, None), (Layout::Separate, Some("CN=Test CA"))] {
        let mut night = furnished(layout).await;
        let port = free_port();
        let conf = nginx(&night, port);
        let _nginx = start(
            Command::new("nginx")
                .arg("-c")
                .arg(&conf)
                .arg("-e")
                .arg(night.dir.path().join("log")),
            port,
        )
        .await;
        let reload = format!(
            "nginx -c {} -e {}/log -s reload",
            conf.display(),
            night.dir.path().display()
        );
        let result = renewed(&mut night, port, &reload).await;
        assert!(result.done, "{result:?}");
        assert_eq!(
            result.installation.unwrap().chain_missing.as_deref(),
            missing,
            "{layout:?}"
        );
        let (is_accepted, said) = accepted(&night, port);
        assert_eq!(is_accepted, missing.is_none(), "{layout:?}: {said}");
    }
}

fn haproxy(night: &Night, port: u16, name: &str) -> Command {
    let conf = night.dir.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  \
         bind 127.0.0.1:{port} ssl crt {}\n  http-request return status 200\n",
        night.path()
    );
    std::fs::write(&conf, text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-W").arg("-f").arg(conf);
    command
        .arg("-p")
        .arg(night.dir.path().join(format!("{name}.pid")));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_serves_a_chain_that_the_root_alone_accepts() {
    if !is_there("haproxy") || !is_there("openssl") {
        return;
    }
    let mut night = furnished(Layout::Combined).await;
    let port = free_port();
    let _haproxy = start(&mut haproxy(&night, port, "one"), port).await;
    let reload = format!("kill -USR2 $(cat {}/one.pid)", night.dir.path().display());
    let result = renewed(&mut night, port, &reload).await;
    assert!(result.done, "{result:?}");
    assert_eq!(result.installation.unwrap().chain_missing, None);
    let (is_accepted, said) = accepted(&night, port);
    assert!(is_accepted, "{said}");
}

/// Three that share a port, as the kernel spreads connections over them; the reload forgets one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_haproxy_of_three_that_was_not_reloaded_is_found() {
    if !is_there("haproxy") {
        return;
    }
    let mut night = furnished(Layout::Combined).await;
    let port = free_port();
    let mut running = Vec::new();
    for name in ["one", "two", "three"] {
        running.push(start(&mut haproxy(&night, port, name), port).await);
        let pid = night.dir.path().join(format!("{name}.pid"));
        until("its pid", || pid.exists().then_some(())).await;
    }
    let dir = night.dir.path().display().to_string();
    let reload = format!("kill -USR2 $(cat {dir}/one.pid) $(cat {dir}/two.pid)");
    let result = renewed(&mut night, port, &reload).await;
    assert_eq!(result.failed_step.as_deref(), Some("handshake"), "{result:?}");
    let error = result.error.unwrap();
    assert!(
        error.contains("connections to") || error.contains("another certificate"),
        "{error}"
    );
}
