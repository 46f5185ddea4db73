#!/usr/bin/env bash
# Generates all code and API descriptions from the Go types in apis/. go.mod pins the
# generators; nothing needs to be installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=$(go list -m)
apis="${module}/apis/portolan/v1"
header=hack/boilerplate.go.txt
scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT

export GOBIN="${scratch}/bin"
export PATH="${GOBIN}:$(go env GOROOT)/bin:${PATH}"
go install ./hack/protoc \
  golang.org/x/tools/cmd/goimports \
  k8s.io/code-generator/cmd/{applyconfiguration-gen,client-gen,deepcopy-gen,defaulter-gen,informer-gen,lister-gen} \
  k8s.io/code-generator/cmd/{go-to-protobuf,go-to-protobuf/protoc-gen-gogo} \
  k8s.io/kube-openapi/cmd/openapi-gen

# Code for types that no longer exist must not remain.
rm -rf generated
rm -f apis/portolan/v1/{zz_generated.*.go,generated.pb.go,generated.proto}

echo "deepcopy, defaults"
deepcopy-gen --go-header-file "${header}" --output-file zz_generated.deepcopy.go "${apis}"
defaulter-gen --go-header-file "${header}" --output-file zz_generated.defaults.go "${apis}"

echo "protobuf"
# go-to-protobuf looks for sources under the Go import path of their package, and so do
# .proto files for their imports. This tree of links provides the paths.
protos="${scratch}/protos"
link() { mkdir -p "$(dirname "${protos}/$1")" && ln -s "$2" "${protos}/$1"; }
link "${module}" "${PWD}"
for dependency in github.com/gogo/protobuf k8s.io/api k8s.io/apimachinery; do
  link "${dependency}" "$(go list -m -f '{{.Dir}}' "${dependency}")"
done
# A leading - means that the package's .proto file is not generated.
machinery=k8s.io/apimachinery/pkg
go-to-protobuf --go-header-file "${header}" --output-dir "${protos}" \
  --apimachinery-packages "-${machinery}/util/intstr,-${machinery}/api/resource,-${machinery}/runtime/schema,-${machinery}/runtime,-${machinery}/apis/meta/v1" \
  --packages "-k8s.io/api/core/v1,-k8s.io/api/discovery/v1,${apis}"

echo "OpenAPI"
# openapi-gen writes model names into every package that isn't listed as read-only,
# even in the module cache.
described=(k8s.io/api/{admissionregistration,apps,authentication,authorization,batch,coordination,core,discovery,events,networking,rbac}/v1 k8s.io/api/scheduling/v1alpha3 k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1 "${machinery}"/{apis/meta/v1,api/resource,runtime,util/intstr,version})
openapi-gen --go-header-file "${header}" \
  --output-dir generated/openapi --output-pkg "${module}/generated/openapi" \
  --output-file zz_generated.openapi.go --output-model-name-file zz_generated.model_name.go \
  --report-filename "${scratch}/violations" \
  $(printf -- '--readonly-pkg %s ' "${described[@]}" "${machinery}/types" time) \
  "${apis}" "${described[@]}"
# Upstream has the same exception: the JSON name of CIDRs is cidrs.
if grep "${module}" "${scratch}/violations" | grep -v '^API rule violation: names_match,.*,CIDRs$'; then
  echo "these break the API conventions" >&2
  exit 1
fi

echo "apply configurations"
# applyconfiguration-gen finds models by the path of their Go package. The code that it
# generates, and the server, use the names that openapi-gen has given them.
by_path=com.github.portolan-dev.portolan.apis.portolan.v1
by_name=dev.portolan.v1
external=$(
  client_go=k8s.io/client-go/applyconfigurations
  printf "k8s.io/api/%s:${client_go}/core/v1," core/v1.{ServiceSpec,ServiceStatus,EndpointSubset}
  printf "k8s.io/api/%s:${client_go}/discovery/v1," discovery/v1.{Endpoint,EndpointPort}
)
go run ./hack/models-schema | perl -pe "s/\Q${by_name}.\E/${by_path}./g" >"${scratch}/openapi.json"
applyconfiguration-gen --go-header-file "${header}" \
  --output-dir generated/applyconfiguration --output-pkg "${module}/generated/applyconfiguration" \
  --openapi-schema "${scratch}/openapi.json" \
  --external-applyconfigurations "${external%,}" \
  "${apis}"
find generated/applyconfiguration -name '*.go' -exec perl -pi -e "s/\Q${by_path}.\E/${by_name}./g" {} +

echo "clientset, listers, informers"
client-gen --go-header-file "${header}" \
  --output-dir generated/clientset --output-pkg "${module}/generated/clientset" \
  --clientset-name versioned --input-base "${module}/apis" --input portolan/v1 \
  --apply-configuration-package "${module}/generated/applyconfiguration" \
  --plural-exceptions Endpoints:Endpoints --prefers-protobuf
lister-gen --go-header-file "${header}" \
  --output-dir generated/listers --output-pkg "${module}/generated/listers" \
  --plural-exceptions Endpoints:Endpoints "${apis}"
informer-gen --go-header-file "${header}" \
  --output-dir generated/informers --output-pkg "${module}/generated/informers" \
  --versioned-clientset-package "${module}/generated/clientset/versioned" \
  --listers-package "${module}/generated/listers" \
  --plural-exceptions Endpoints:Endpoints "${apis}"

go mod verify
