"""Uses Services, ranges, Leases and custom kinds as Python programs do.

python_test.go runs it with the path of a kubeconfig. Each answer that is not as expected ends
it with an error.
"""

import sys
import threading
import uuid

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()


def fails(status, text, call, *args, **kwargs):
    """Wants a call to fail with a status and a text."""
    try:
        call(*args, **kwargs)
    except ApiException as e:
        assert e.status == status and text in e.body, e
        return
    raise AssertionError("the server accepts what it must reject: want %d, %s" % (status, text))


def service(name, **spec):
    return client.V1Service(
        metadata=client.V1ObjectMeta(name=name, labels={"app": "web"}),
        spec=client.V1ServiceSpec(ports=[client.V1ServicePort(port=80)], **spec))


def services():
    web = core.create_namespaced_service("default", service("web", type="NodePort"))
    assert web.spec.cluster_ip and web.spec.ports[0].node_port, web
    fails(409, "already exists", core.create_namespaced_service, "default", service("web"))
    fails(422, "provided IP is already allocated", core.create_namespaced_service, "default", service("other", cluster_ip=web.spec.cluster_ip))

    changed = core.patch_namespaced_service("web", "default", {"metadata": {"labels": {"tier": "front"}}})
    assert changed.metadata.labels == {"app": "web", "tier": "front"}, changed.metadata
    fails(409, "the object has been modified", core.replace_namespaced_service, "web", "default", web)
    changed.spec.type = "ClusterIP"
    assert core.replace_namespaced_service("web", "default", changed).spec.ports[0].node_port is None

    for n in range(3):
        core.create_namespaced_service("default", service("more-%d" % n))
    page = core.list_namespaced_service("default", label_selector="app=web", limit=3)
    rest = core.list_namespaced_service("default", label_selector="app=web", limit=3, _continue=page.metadata._continue)
    names = [s.metadata.name for s in page.items + rest.items]
    assert names == ["more-0", "more-1", "more-2", "web"], names


def watches():
    seen = []
    version = core.list_namespaced_service("default").metadata.resource_version
    core.delete_namespaced_service("more-0", "default")
    core.create_namespaced_service("default", service("late"))
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_service, "default", resource_version=version, timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watcher.stop()
    assert seen == [("DELETED", "more-0"), ("ADDED", "late")], seen


def ranges():
    """Uses the kinds of portolan.dev, found through discovery and named by hand."""
    own = dynamic.DynamicClient(client.ApiClient())
    ports = own.resources.get(api_version="portolan.dev/v1", kind="NodePort")
    ports.create(body={"metadata": {"name": "30053"}, "spec": {"parentRef": {"resource": "reservations", "name": "dns"}}})
    claims = client.CustomObjectsApi().list_cluster_custom_object("portolan.dev", "v1", "nodeports")["items"]
    assert [c["metadata"]["name"] for c in claims] == ["30053"], claims


def leads():
    """Holds an election, whose record is in a ConfigMap."""
    leading = threading.Event()
    election = electionconfig.Config(
        ConfigMapLock("election", "default", str(uuid.uuid4())), lease_duration=15, renew_deadline=10, retry_period=1,
        onstarted_leading=leading.set, onstopped_leading=None)
    threading.Thread(target=leaderelection.LeaderElection(election).run, daemon=True).start()
    assert leading.wait(60), "there is no leader"
    assert "control-plane.alpha.kubernetes.io/leader" in core.read_namespaced_config_map("election", "default").metadata.annotations


services()
watches()
ranges()
leads()
print("done")
