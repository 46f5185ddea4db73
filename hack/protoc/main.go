// Command protoc replaces the protobuf compiler. It accepts only the arguments that
// go-to-protobuf passes. go-to-protobuf looks for a protoc in the PATH; with this one,
// go.mod pins the compiler like the other generators, and nothing needs to be
// installed.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const usage = "usage: protoc {-I DIR} --gogo_out=DIR FILE"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protoc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var importPaths []string
	for len(args) > 1 && args[0] == "-I" {
		importPaths, args = append(importPaths, args[1]), args[2:]
	}
	if len(args) != 2 {
		return errors.New(usage)
	}
	output, ok := strings.CutPrefix(args[0], "--gogo_out=")
	if !ok {
		return errors.New(usage)
	}
	file, err := importName(importPaths, args[1])
	if err != nil {
		return err
	}

	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: importPaths}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), file)
	if err != nil {
		return err
	}
	response, err := runPlugin(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file},
		ProtoFile:      importsFirst(compiled[0], map[string]bool{}),
	})
	if err != nil {
		return err
	}
	for _, generated := range response.File {
		if err := os.WriteFile(filepath.Join(output, generated.GetName()), []byte(generated.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// importName returns the name by which other files would import the file at path.
func importName(importPaths []string, path string) (string, error) {
	for _, dir := range importPaths {
		if name, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(name) {
			return filepath.ToSlash(name), nil
		}
	}
	return "", fmt.Errorf("%s is below none of %s", path, strings.Join(importPaths, ", "))
}

// importsFirst returns the file and everything that it imports. Plugins require each
// file to come after its imports.
func importsFirst(file protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return nil
	}
	seen[file.Path()] = true
	var files []*descriptorpb.FileDescriptorProto
	for i := range file.Imports().Len() {
		files = append(files, importsFirst(file.Imports().Get(i).FileDescriptor, seen)...)
	}
	return append(files, protoutil.ProtoFromFileDescriptor(file))
}

func runPlugin(request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	plugin := exec.Command("protoc-gen-gogo")
	plugin.Stdin, plugin.Stderr = bytes.NewReader(in), os.Stderr
	out, err := plugin.Output()
	if err != nil {
		return nil, fmt.Errorf("protoc-gen-gogo: %w", err)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	return response, nil
}
