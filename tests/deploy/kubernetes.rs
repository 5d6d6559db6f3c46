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

#[test]
fn the_runbooks_find_their_names_and_the_pods_have_no_rights() {
    for (name, file, unit, port, scheme) in [
        ("cmp-api", "kubernetes/cmp-api.yaml", "cmp-server", 8082, "HTTPS"),
        (
            "cmp-issuer",
            "kubernetes/cmp-issuer.yaml",
            "cmp-issuer",
            8083,
            "HTTP",
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
        let volumes = pod["volumes"].as_array().unwrap();
        let credentials = volumes.iter().find(|it| it["name"] == "credentials").unwrap();
        let mut keys: Vec<&str> = credentials["secret"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["key"].as_str().unwrap())
            .collect();
        let mut asked = named_credentials(&seed);
        keys.sort_unstable();
        asked.sort_unstable();
        assert_eq!(keys, asked, "{name}");
        // Not for everybody: such a file would be refused (0440 is 288).
        assert_eq!(credentials["secret"]["defaultMode"], 0o440);

        let env = container["env"].as_array().unwrap();
        assert!(env.iter().any(|it| it["name"] == "DB_HOST"), "{name}");
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            let get = &container[probe]["httpGet"];
            assert_eq!(
                (&get["path"], &get["scheme"]),
                (&json!(path), &json!(scheme)),
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
