//! The manifests: the names that the runbooks use, the seeds of configuration, and pods without rights.

use std::process::Command;

use serde_json::{Value, json};

use crate::unit::{Unit, named_credentials};
use crate::{deployed, text};

/// The documents of a file, as a YAML library reads them.
fn documents(name: &str) -> Option<Vec<Value>> {
    let script = "import sys, json, yaml\n\
        print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(deployed(name))
        .output();
    let output = output.ok().filter(|output| output.status.success());
    let Some(output) = output else {
        let why = "Python's `yaml` is not installed, or the file is none";
        assert!(std::env::var_os("CI").is_none(), "{name}: {why}");
        eprintln!("skipped: {why}");
        return None;
    };
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|it| it["kind"] == kind).unwrap()
}

/// The mode and the names of the files in a volume of one secret or of several.
fn files(volume: &Value) -> (i64, Vec<&str>) {
    let (mode, secrets) = match volume["projected"]["sources"].as_array() {
        Some(sources) => (
            &volume["projected"]["defaultMode"],
            sources.iter().map(|it| &it["secret"]).collect(),
        ),
        None => (&volume["secret"]["defaultMode"], vec![&volume["secret"]]),
    };
    let items = secrets.iter().filter_map(|secret| secret["items"].as_array());
    let names = items.flatten().filter_map(|item| item["path"].as_str());
    (mode.as_i64().unwrap(), names.collect())
}

#[test]
fn the_runbooks_find_their_names_and_the_pods_have_no_rights() {
    for (name, file, unit, port) in [
        ("cmp-api", "kubernetes/cmp-api.yaml", "cmp-server", 8082),
        (
            "cmp-issuer",
            "kubernetes/cmp-issuer.yaml",
            "cmp-issuer",
            8083,
        ),
    ] {
        let Some(documents) = documents(file) else { return };
        let deployment = of_kind(&documents, "Deployment");
        assert_eq!(deployment["metadata"]["name"], name);
        assert_eq!(deployment["spec"]["replicas"], 2);
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let command: Vec<&str> = container["command"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        // What the unit runs, over the same seed.
        assert_eq!(command[1..], Unit::read(unit).command()[1..]);
        let seed = format!("{unit}.toml");
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|it| it["subPath"] == seed.as_str()), "{name}");
        assert!(text("kustomization.yaml").contains(&format!("- config/{seed}")));
        let seed = text(&format!("config/{seed}"));
        assert!(seed.contains(&format!("\"0.0.0.0:{port}\"")), "{name}");
        assert!(seed.contains("health_listen = \"0.0.0.0:8083\""), "{name}");
        let volumes = pod["volumes"].as_array().unwrap();
        let credentials = volumes.iter().find(|it| it["name"] == "credentials").unwrap();
        let (mode, mut given) = files(credentials);
        let mut asked = named_credentials(&seed);
        given.sort_unstable();
        asked.sort_unstable();
        assert_eq!(given, asked, "{name}");
        // Not for everybody: such a file would be refused (0440 is 288).
        assert_eq!(mode, 0o440);
        let tls = volumes.iter().find(|it| it["name"] == "tls");
        for file in tls.iter().flat_map(|it| files(it).1) {
            assert!(
                seed.contains(&format!("\"/etc/cmp/tls/{file}\"")),
                "{name}: {file}"
            );
        }

        let env = container["env"].as_array().unwrap();
        assert!(env.iter().any(|it| it["name"] == "DB_HOST"), "{name}");
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            let get = &container[probe]["httpGet"];
            // Where no crowd of clients is in the way.
            assert_eq!(
                (&get["path"], &get["port"], &get["scheme"]),
                (&json!(path), &json!("health"), &json!("HTTP")),
                "{name}"
            );
        }
        assert_eq!(container["ports"][0]["containerPort"], port);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_ne!(pod["securityContext"]["runAsUser"], 0);
        let rights = &container["securityContext"];
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["capabilities"]["drop"], json!(["ALL"]));
        let budget = of_kind(&documents, "PodDisruptionBudget");
        assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"]);
        if name == "cmp-api" {
            let service = of_kind(&documents, "Service");
            assert_eq!(service["metadata"]["name"], "api");
            assert_eq!(service["spec"]["ports"][0]["port"], 8082);
            assert_eq!(
                service["spec"]["selector"],
                deployment["spec"]["selector"]["matchLabels"]
            );
        }
    }
    let Some(job) = documents("kubernetes/cmp-migrate.yaml") else {
        return;
    };
    let container = &job[0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["cmp-server", "--migrate-only"]));
}
