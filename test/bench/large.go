package main

import (
	"context"
	"log"
)

const (
	emptyName = "empty"
	largeName = "large"
)

// measureLarge compares Portolan with many Services with an empty Portolan.
func (b *bench) measureLarge(ctx context.Context) (err error) {
	if b.large == 0 {
		return nil
	}
	// They would share the machine with what is measured now.
	b.stopServers()
	var targets []target
	var servers []*apiServer
	defer func() {
		for _, s := range servers {
			s.server.Stop()
		}
	}()
	for _, name := range []string{emptyName, largeName} {
		s, err := b.launch(ctx, name)
		if err != nil {
			return err
		}
		servers, targets = append(servers, s), append(targets, s)
	}
	if err := warm(ctx, targets); err != nil {
		return err
	}
	log.Printf("filling a portolan of its own up to %d Services", b.large)
	if err := fill(ctx, targets[1], 0, b.large); err != nil {
		return err
	}
	if err := sleep(ctx, b.settle); err != nil {
		return err
	}
	memory, err := residentOf(servers[1].server)
	if err != nil {
		return err
	}
	b.report.Large = &Large{Services: b.large, Memory: memory}
	return b.measureRequests(ctx, b.large, targets, func(cell *Cell) {
		b.report.Large.Requests = append(b.report.Large.Requests, cell)
		log.Printf("%d Services, %d clients: %s", b.large, cell.Clients, cell)
	})
}
