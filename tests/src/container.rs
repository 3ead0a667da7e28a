//! The pod of the manifest on this machine: the image's files as a read-only root, the manifest's
//! capabilities and no others. Mounts are of the process's own and go with it.

use crate::deploy;
use crate::project;
use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;
use std::fs;
use std::net::IpAddr;
use std::process::Command;
use tempfile::TempDir;

/// Mounts what a container's runtime mounts, then becomes the program: `ROOT FOLDERS DROP`, and
/// the program's arguments. FOLDERS are written with spaces, DROP with commas.
const SCRIPT: &str = r#"
root=$1 folders=$2 drop=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind /dev/null "$root/dev/null"
for folder in $folders; do
    mount -t tmpfs -o mode=0777 tmpfs "$root/$folder"
done
mount -o remount,bind,ro "$root"
exec capsh --chroot="$root" --drop="$drop" --no-new-privs --shell=/usr/bin/tracer -- "$@"
"#;
/// Where the build leaves the program that the image is made for.
const PROGRAM: &str = "/usr/bin/tracer";

/// How `tracer` runs in the pod.
#[derive(Debug)]
pub struct Container {
    root: TempDir,
    folders: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Capabilities as the kernel calls them: `CAP_BPF`.
    pub capabilities: Vec<String>,
}

impl Container {
    /// As the manifest says, on the image of the Dockerfile, its libraries taken from here.
    ///
    /// # Errors
    ///
    /// They ask for something that is not done here, or a file is not there.
    pub fn from_manifest() -> Result<Self> {
        let daemonset = deploy::document("DaemonSet")?;
        let pod = &daemonset["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        let expected = [
            (&pod["hostPID"], true),
            (&security["readOnlyRootFilesystem"], true),
            (&security["allowPrivilegeEscalation"], false),
            (&security["privileged"], false),
        ];
        if expected.iter().any(|(value, expected)| value.as_bool() != Some(*expected))
            || pod["securityContext"]["runAsUser"] != 0
            || deploy::strings(&security["capabilities"]["drop"])? != ["ALL"]
        {
            bail!("the manifest's pod is another one than this is written for: {pod:#}");
        }
        let added = deploy::strings(&security["capabilities"]["add"])?;
        let root = image()?;
        let mut folders = Vec::new();
        for mount in container["volumeMounts"].as_array().context("no volumeMounts")? {
            let path = mount["mountPath"].as_str().context("no mountPath")?;
            let path = path.strip_prefix('/').context("mountPath is not absolute")?;
            fs::create_dir_all(root.path().join(path))?;
            folders.push(path.to_owned());
        }
        Ok(Self {
            root,
            folders: folders.join(" "),
            arguments: deploy::strings(&container["args"])?,
            environment: environment(&container["env"])?,
            capabilities: added.iter().map(|name| format!("CAP_{name}")).collect(),
        })
    }

    /// `tracer` with these arguments, as the root of the container runs it.
    ///
    /// # Errors
    ///
    /// The kernel's capabilities are not known.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", SCRIPT, "sh"]);
        command.arg(self.root.path()).arg(&self.folders).arg(self.dropped()?).args(arguments);
        command.env_remove("TRACER_LOG").env_remove("NO_COLOR");
        // Perf events need a capability that the manifest does not give.
        command.env_remove("TRACER_ATTACH").envs(self.environment.clone());
        Ok(command)
    }

    /// The manifest's own command line, in a pod with this address.
    ///
    /// # Errors
    ///
    /// The kernel's capabilities are not known.
    pub fn daemon(&self, pod_ip: IpAddr) -> Result<Command> {
        let pod_ip = pod_ip.to_string();
        let arguments: Vec<String> =
            self.arguments.iter().map(|word| word.replace("$(POD_IP)", &pod_ip)).collect();
        self.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// All of the kernel's capabilities but ours, with commas.
    fn dropped(&self) -> Result<String> {
        let listed = Command::new("setpriv").arg("--list-caps").output().context("no setpriv")?;
        let all = String::from_utf8(listed.stdout)?;
        let all = all.lines().map(|name| format!("CAP_{}", name.to_uppercase()));
        let dropped: Vec<String> = all.filter(|name| !self.capabilities.contains(name)).collect();
        Ok(dropped.join(","))
    }
}

/// What is set by its value.
fn environment(list: &Json) -> Result<Vec<(String, String)>> {
    let set = list.as_array().context("no env")?.iter().filter_map(|variable| {
        let text = |key: &str| variable[key].as_str().map(str::to_owned);
        Some((text("name")?, text("value")?))
    });
    Ok(set.collect())
}

/// The image's files in a folder, with the folders that a runtime mounts on.
fn image() -> Result<TempDir> {
    let root = tempfile::tempdir()?;
    for folder in ["proc", "sys", "dev"] {
        fs::create_dir(root.path().join(folder))?;
    }
    fs::write(root.path().join("dev/null"), "")?;
    for file in deploy::image()? {
        let to = root.path().join(file.to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(root.path()))?;
        let from = if file.to == PROGRAM { project::tracer()? } else { file.from.into() };
        fs::copy(&from, &to).with_context(|| format!("can't copy {}", from.display()))?;
    }
    Ok(root)
}

/// The bits of a set of capabilities in `/proc/PID/status`: `CapEff`, `CapBnd`.
///
/// # Errors
///
/// The process is gone.
pub fn capability_names(pid: u32, set: &str) -> Result<Vec<String>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t"));
    let decoded = Command::new("capsh")
        .arg(format!("--decode={}", line.context("no such set")?))
        .output()
        .context("no capsh")?;
    let text = String::from_utf8(decoded.stdout)?;
    let names = text.trim().split_once('=').map_or("", |(_, names)| names).to_uppercase();
    let mut names: Vec<String> =
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}
