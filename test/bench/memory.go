package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// Memory is what the servers had in memory at one time.
type Memory struct {
	When string `json:"when"`
	// Services is how many are in place. It is nil after churn.
	Services *int `json:"services,omitempty"`
	// Servers is by the name of the server. An etcd that is a process of its own counts in.
	Servers map[string]Resident `json:"servers"`
}

// Resident is resident memory in bytes.
type Resident struct {
	Bytes int64 `json:"bytes"`
	// Mapped is the part that is pages of files, most of it an etcd's database.
	Mapped int64 `json:"mapped"`
	// Alone leaves an etcd out that is a process of its own.
	Alone int64 `json:"alone"`
}

// measureMemory takes nil for the number of Services after churn.
func (b *bench) measureMemory(when string, services *int) error {
	m := Memory{When: when, Services: services, Servers: map[string]Resident{}}
	for _, s := range b.servers {
		resident, err := residentOf(s.server)
		if err != nil {
			return err
		}
		m.Servers[s.name()] = resident
		log.Printf("memory, %s: %s %s", when, s.name(), resident)
	}
	b.report.Memory = append(b.report.Memory, m)
	return nil
}

func residentOf(server *upstream.Server) (Resident, error) {
	api, all, err := server.Usage()
	return Resident{Bytes: all.Resident, Mapped: all.Mapped, Alone: api.Resident}, err
}

// String is how the table says it.
func (r Resident) String() string {
	return fmt.Sprintf("%s (%s of files)", megabytes(r.Bytes), megabytes(r.Mapped))
}

// measureChurn creates and deletes Services, so that none is left, and measures the memory
// right after it and when the servers have been left alone for a while.
func (b *bench) measureChurn(ctx context.Context) error {
	if b.churned == 0 {
		return nil
	}
	const batch = 1000
	for _, s := range b.servers {
		started := time.Now()
		for done := 0; done < b.churned; done += batch {
			if _, err := churn(ctx, s, clusterIP, fillClients, min(batch, b.churned-done), nil); err != nil {
				return err
			}
			if (done/batch)%10 == 9 {
				log.Printf("  %s: %d of %d Services created and deleted", s.name(), done+batch, b.churned)
			}
		}
		log.Printf("  %s: %d Services created and deleted in %v", s.name(), b.churned, time.Since(started).Round(100*time.Millisecond))
	}
	what := fmt.Sprintf("after %s creates and deletes", thousands(b.churned))
	if err := b.measureMemory("right "+what, nil); err != nil {
		return err
	}
	log.Printf("leaving the servers alone for %v", b.rest)
	if err := sleep(ctx, b.rest); err != nil {
		return err
	}
	return b.measureMemory(fmt.Sprintf("%v %s", b.rest, what), nil)
}
