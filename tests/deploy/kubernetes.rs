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
        let ready = &container["readinessProbe"]["httpGet"];
        assert_eq!(
            (&ready["path"], &ready["scheme"]),
            (&json!("/readyz"), &json!(scheme)),
            "{name}"
        );
        // Whether it lives is asked where callers of the API can't be in the way.
        let lives = &container["livenessProbe"]["httpGet"];
        assert_eq!(
            (&lives["path"], &lives["scheme"]),
            (&json!("/healthz"), &json!("HTTP")),
            "{name}"
        );
        assert_eq!(lives["port"], "health");
        let ports = container["ports"].as_array().unwrap();
        let health = ports.iter().find(|it| it["name"] == "health").unwrap();
        assert!(
            seed.contains(&format!(
                "health_listen = \"0.0.0.0:{}\"",
                health["containerPort"]
            )),
            "{name}"
        );
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
    let pod = &of_kind(&job, "Job")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let command = json!([
        "cmp-server",
        "--config",
        "/etc/cmp/cmp-migrate.toml",
        "--migrate-only"
    ]);
    assert_eq!(container["command"], command);
    // Its password is in a file, and in no environment that `describe` or a child process shows.
    let env = container["env"].as_array().unwrap();
    assert!(env.iter().all(|it| it["valueFrom"].is_null()), "{env:?}");
    let seed = of_kind(&job, "ConfigMap")["data"]["cmp-migrate.toml"]
        .as_str()
        .unwrap();
    let credentials = pod["volumes"].as_array().unwrap().iter();
    let credentials = credentials
        .clone()
        .find(|it| it["name"] == "credentials")
        .unwrap();
    assert_eq!(files(credentials), (0o440, named_credentials(seed)));
}

#[test]
fn the_pods_talk_to_what_they_need_and_to_nothing_else() {
    let Some(policies) = documents("kubernetes/network-policy.yaml") else {
        return;
    };
    assert!(text("kustomization.yaml").contains("- kubernetes/network-policy.yaml"));
    let ports = |policy: &Value, way: &str| -> Vec<i64> {
        let rules = policy["spec"][way].as_array().cloned().unwrap_or_default();
        let ports = rules
            .iter()
            .flat_map(|rule| rule["ports"].as_array().unwrap().clone());
        let mut ports: Vec<i64> = ports.map(|it| it["port"].as_i64().unwrap()).collect();
        ports.sort_unstable();
        ports
    };
    let nothing = &policies[0];
    assert_eq!(nothing["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        (ports(nothing, "ingress"), ports(nothing, "egress")),
        (vec![], vec![])
    );
    for (file, ingress) in [("cmp-api", 8082), ("cmp-issuer", 8083)] {
        let Some(pods) = documents(&format!("kubernetes/{file}.yaml")) else {
            return;
        };
        let pod = &of_kind(&pods, "Deployment")["spec"]["template"];
        for policy in [
            nothing,
            policies.iter().find(|it| it["metadata"]["name"] == file).unwrap(),
        ] {
            let chosen = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
            assert!(
                chosen
                    .iter()
                    .all(|(label, value)| pod["metadata"]["labels"][label] == *value)
            );
        }
        let own = policies.iter().find(|it| it["metadata"]["name"] == file).unwrap();
        let listens = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
        let mut listens: Vec<i64> = listens
            .iter()
            .map(|it| it["containerPort"].as_i64().unwrap())
            .collect();
        listens.sort_unstable();
        assert!(listens.contains(&ingress));
        assert_eq!(ports(own, "ingress"), listens, "{file}");
    }
}
