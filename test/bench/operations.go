package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

const (
	opCreate = "create"
	opDelete = "delete"
)

// operation is a request about a Service that exists. Each writes something new.
type operation struct {
	name string
	send func(ctx context.Context, s *apiServer, worker int, service string) error
}

// operations are what is measured between the creation and the deletion of Services.
var operations = []operation{
	{"get", func(ctx context.Context, s *apiServer, worker int, service string) error {
		return s.request(worker, "GET", s.services(service)...).Do(ctx).Error()
	}},
	{"update", func(ctx context.Context, s *apiServer, worker int, service string) error {
		meta := metaOf(service)
		meta.Annotations = map[string]string{"bench": fmt.Sprint(s.changes.Add(1))}
		body, err := s.encode(clusterIP, meta)
		if err != nil {
			return err
		}
		request := s.request(worker, "PUT", s.services(service)...)
		return request.SetHeader("Content-Type", runtime.ContentTypeProtobuf).Body(body).Do(ctx).Error()
	}},
	{"patch", func(ctx context.Context, s *apiServer, worker int, service string) error {
		return s.patch(ctx, worker, types.MergePatchType, annotation(s.changes.Add(1)), service)
	}},
	{"apply", func(ctx context.Context, s *apiServer, worker int, service string) error {
		return s.patch(ctx, worker, types.ApplyYAMLPatchType, map[string]any{
			"apiVersion": s.version, "kind": "Service",
			"metadata": map[string]any{"name": service, "labels": map[string]string{"applied": fmt.Sprint(s.changes.Add(1))}},
			"spec":     map[string]any{"sessionAffinity": "ClientIP"},
		}, service)
	}},
	{"patch status", func(ctx context.Context, s *apiServer, worker int, service string) error {
		return s.patch(ctx, worker, types.MergePatchType, map[string]any{"status": map[string]any{"conditions": []map[string]string{{
			"type": "Ready", "status": "True", "reason": "Bench", "message": fmt.Sprint(s.changes.Add(1)),
			"lastTransitionTime": "2025-01-01T00:00:00Z",
		}}}}, service, "status")
	}},
}

// annotation is a merge patch.
func annotation(change int64) any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]string{"bench": fmt.Sprint(change)}}}
}

func (s *apiServer) patch(ctx context.Context, worker int, kind types.PatchType, patch any, path ...string) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	request := s.request(worker, "PATCH", s.services(path...)...).SetHeader("Content-Type", string(kind)).Body(body)
	if kind == types.ApplyYAMLPatchType {
		request = request.Param("fieldManager", "bench").Param("force", "true")
	}
	return request.Do(ctx).Error()
}
