//! The command line, and where a simulator is reached from.

use clap::Parser;
use reqwest::{Certificate, Client, Method};

use super::{Bench, client};
use crate::*;

fn config(args: &[&str]) -> Result<Config, String> {
    Args::try_parse_from([&["cms-simulator"], args].concat()).map_err(|error| error.to_string())?.config()
}

#[test]
fn a_lone_bridge_is_one_bridge() {
    let shape = |args: &[&str]| config(args).map(|config| (config.bridges, config.is_clustered()));
    assert_eq!(shape(&[]), Ok((2, true)));
    assert_eq!(shape(&["--bridges", "1"]), Ok((1, true)));
    assert_eq!(shape(&["--standalone"]), Ok((1, false)));
    assert_eq!(shape(&["--standalone", "--bridges", "1"]), Ok((1, false)));
    assert!(shape(&["--standalone", "--bridges", "2"]).unwrap_err().contains("--standalone"));
    assert!(shape(&["--bridges", "17"]).is_err());
}

#[test]
fn options_become_what_they_say() {
    let plain = config(&[]).unwrap();
    assert_eq!((plain.ports, plain.listen.to_string().as_str()), (vec![8443, 8444], "127.0.0.1"));
    assert!(plain.software_version.starts_with("2."), "what the guide sends is known");
    let full =
        config(&["--listen", "0.0.0.0", "--name", "a.test", "--name", "10.1.2.3", "--advertise", "cms"]).unwrap();
    assert_eq!(full.certified(), ["a.test", "10.1.2.3", "cms"]);
    assert_eq!(full.address(445), "cms:445");
    assert_eq!(config(&["--port", "0"]).unwrap().ports, [0, 0]);
    assert!(config(&["--software-version", "bogus"]).unwrap_err().contains("--software-version"));
    for bad in [["--port", "65535"], ["--switches", "{\"no\":1}"], ["--listen", "here"]] {
        assert!(config(&bad).is_err(), "{bad:?}");
    }
    for (listen, wanted) in
        [("0.0.0.0", "127.0.0.1:1"), ("::", "[::1]:1"), ("::1", "[::1]:1"), ("10.0.0.1", "10.0.0.1:1")]
    {
        assert_eq!(config(&["--listen", listen]).unwrap().address(1), wanted);
    }
}

#[tokio::test]
async fn a_lone_bridge_has_an_empty_table() {
    let bench = Bench::new(Config { ports: vec![0], ..config(&["--standalone"]).unwrap() }).await;
    assert_eq!((bench.sim.bridges(), bench.get("callBridges").await.total()), (1, 0));
    assert_eq!(bench.get("system/status").await.text("clusterEnabled").as_deref(), Some("false"));
}

/// As in a container: it listens everywhere, and clients know it by another name.
#[tokio::test]
async fn strangers_reach_it_by_the_name_that_it_is_given() {
    let args = [
        "--listen",
        "0.0.0.0",
        "--name",
        "cms.example",
        "--name",
        "127.0.0.2",
        "--advertise",
        "cms.lab",
        "--port",
        "0",
    ];
    let sim = Simulator::start(config(&args).unwrap()).await.unwrap();
    let port = sim.address(0).rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert_eq!(sim.address(0), format!("cms.lab:{port}"));
    let _ = client(&sim);
    let ca = Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
    let at = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    for host in ["cms.example", "cms.lab", "bridge-1.cms.test", "127.0.0.2"] {
        let client = Client::builder().tls_certs_only([ca.clone()]).no_proxy().resolve(host, at).build().unwrap();
        let url = format!("https://{host}:{port}/api/v1/callBridges/{}", sim.call_bridge_id(0));
        let got = client.request(Method::GET, url).basic_auth("admin", Some("cisco")).send().await.unwrap();
        assert!(got.text().await.unwrap().contains(&format!("https://cms.lab:{port}")), "{host}");
    }
    let other = Client::builder().tls_certs_only([ca]).no_proxy().resolve("cms.other", at).build().unwrap();
    assert!(other.get(format!("https://cms.other:{port}/")).send().await.is_err(), "not its name");
    let control = format!("http://127.0.0.2:{}/info", sim.control_address().unwrap().port());
    assert!(client(&sim).get(control).send().await.unwrap().status().is_success());
    // It comes back on the same address.
    sim.stop_bridge(0);
    assert!(std::net::TcpStream::connect(at).is_err());
    sim.start_bridge(0);
    assert!(std::net::TcpStream::connect(at).is_ok());
}
