//! The deployment's files say the same as the program: its capabilities, its version, its limits.

use serde_json::Value as Json;
use tracer_core::attach::support::CAPABILITIES;
use tracer_tests::deploy::{document, strings, unit};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn needed() -> Vec<String> {
    let mut needed: Vec<String> =
        CAPABILITIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    needed.sort();
    needed
}

fn pod() -> Json {
    document("DaemonSet").unwrap()["spec"]["template"]["spec"].clone()
}

#[test]
fn manifest_and_unit_give_the_capabilities_that_are_needed_and_no_others() {
    let security = &pod()["containers"][0]["securityContext"];
    assert_eq!(strings(&security["capabilities"]["drop"]).unwrap(), ["ALL"]);
    let added = strings(&security["capabilities"]["add"]).unwrap();
    let mut added: Vec<String> = added.iter().map(|name| format!("CAP_{name}")).collect();
    added.sort();
    assert_eq!(added, needed());

    for setting in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let mut names = unit(setting).unwrap();
        names.sort();
        assert_eq!(names, needed(), "{setting}");
    }
}

#[test]
fn the_pod_has_no_more_rights_than_it_needs() {
    let pod = pod();
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    let expected = [
        (&pod["hostPID"], Json::from(true)),
        (&pod["hostNetwork"], false.into()),
        (&pod["automountServiceAccountToken"], false.into()),
        (&pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault".into()),
        (&security["privileged"], false.into()),
        (&security["allowPrivilegeEscalation"], false.into()),
        (&security["readOnlyRootFilesystem"], true.into()),
    ];
    for (value, expected) in expected {
        assert_eq!(*value, expected, "{pod:#}");
    }
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        for bound in ["requests", "limits"] {
            assert!(container["resources"][bound][resource].is_string(), "{bound} {resource}");
        }
    }
    // Nothing of the node is mounted, and what is written has a bound.
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), container["volumeMounts"].as_array().unwrap().len());
    for volume in volumes {
        assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{volume}");
    }
}

#[test]
fn version_labels_and_image_are_of_this_version() {
    let daemonset = document("DaemonSet").unwrap();
    let template = &daemonset["spec"]["template"];
    let labels = &daemonset["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/version"], VERSION);
    assert_eq!(*labels, template["metadata"]["labels"]);
    for (name, value) in daemonset["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels[name], *value, "{name}");
        assert!(!name.ends_with("/version"), "a selector can't be changed later");
    }
    assert_eq!(template["spec"]["containers"][0]["image"], format!("tracer:{VERSION}"));
}

#[test]
fn a_rollout_leaves_most_nodes_as_they_are() {
    let daemonset = document("DaemonSet").unwrap();
    let strategy = &daemonset["spec"]["updateStrategy"];
    assert_eq!(strategy["type"], "RollingUpdate");
    assert_eq!(strategy["rollingUpdate"]["maxUnavailable"], "10%");
    let class = document("PriorityClass").unwrap();
    assert_eq!(pod()["priorityClassName"], class["metadata"]["name"]);
    assert_eq!(class["preemptionPolicy"], "Never");
}

#[test]
fn health_is_asked_where_metrics_answer() {
    let pod = pod();
    let container = &pod["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(port["name"], "metrics");
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], port["name"]);
    }
    let arguments = strings(&container["args"]).unwrap();
    let listen = format!("--metrics-listen=$(POD_IP):{}", port["containerPort"]);
    assert!(arguments.contains(&listen), "{arguments:?}");
    assert_eq!(container["env"][0]["name"], "POD_IP");
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP");
}
