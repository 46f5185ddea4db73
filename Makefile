.PHONY: update
update: ## Generate code and API descriptions from the types in apis/
	hack/update-codegen.sh

.PHONY: verify-codegen
verify-codegen: ## Fail when generated code is stale
	hack/verify-codegen.sh
