// Command types prints the shapes of the builtin kinds, as the Go types of k8s.io/api declare them, for
// crates/sandbox/src/kinds/types.txt:
//
//	cd tests/cluster && go run ./types > ../../crates/sandbox/src/kinds/types.txt
//
// A line of a kind is `group/version kind type`, one of a type is `type field=shape ...`. A field's name ends in `?`
// when its zero value is left out. A shape is s (string), b (bool), i32, i64, f64, y (bytes), q (quantity),
// x (integer or string), t (time), m (time with microseconds), d (duration), r (anything), or the name of a type; `*` stands
// before a pointer, `[` before the element of a list, `{` before the value of a map.
package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling1 "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var kinds = map[string][]any{
	"v1": {core.Binding{}, core.ConfigMap{}, core.Endpoints{}, core.Event{}, core.LimitRange{}, core.Namespace{}, core.Node{},
		core.PersistentVolume{}, core.PersistentVolumeClaim{}, core.Pod{}, core.PodTemplate{}, core.ReplicationController{},
		core.ResourceQuota{}, core.Secret{}, core.Service{}, core.ServiceAccount{}},
	"admissionregistration.k8s.io/v1": {admission.MutatingWebhookConfiguration{}, admission.ValidatingAdmissionPolicy{},
		admission.ValidatingAdmissionPolicyBinding{}, admission.ValidatingWebhookConfiguration{}},
	"apps/v1":                      {apps.ControllerRevision{}, apps.DaemonSet{}, apps.Deployment{}, apps.ReplicaSet{}, apps.StatefulSet{}},
	"autoscaling/v1":               {autoscaling1.HorizontalPodAutoscaler{}, autoscaling1.Scale{}},
	"autoscaling/v2":               {autoscaling.HorizontalPodAutoscaler{}},
	"batch/v1":                     {batch.CronJob{}, batch.Job{}},
	"coordination.k8s.io/v1":       {coordination.Lease{}},
	"discovery.k8s.io/v1":          {discovery.EndpointSlice{}},
	"events.k8s.io/v1":             {events.Event{}},
	"networking.k8s.io/v1":         {networking.Ingress{}, networking.IngressClass{}, networking.NetworkPolicy{}},
	"policy/v1":                    {policy.Eviction{}, policy.PodDisruptionBudget{}},
	"rbac.authorization.k8s.io/v1": {rbac.ClusterRole{}, rbac.ClusterRoleBinding{}, rbac.Role{}, rbac.RoleBinding{}},
	"scheduling.k8s.io/v1":         {scheduling.PriorityClass{}},
	"storage.k8s.io/v1":            {storage.CSIDriver{}, storage.StorageClass{}},
}

var special = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():    "q",
	reflect.TypeFor[intstr.IntOrString]():   "x",
	reflect.TypeFor[meta.Time]():            "t",
	reflect.TypeFor[meta.MicroTime]():       "m",
	reflect.TypeFor[meta.Duration]():        "d",
	reflect.TypeFor[meta.FieldsV1]():        "r",
	reflect.TypeFor[runtime.RawExtension](): "r",
	reflect.TypeFor[json.RawMessage]():      "r",
}

var lines = map[string]string{}

func name(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return parts[len(parts)-2] + "." + parts[len(parts)-1] + "." + t.Name()
}

func shape(t reflect.Type) string {
	if text, found := special[t]; found {
		return text
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + shape(t.Elem())
	case reflect.Map:
		return "{" + shape(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "y"
		}
		return "[" + shape(t.Elem())
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int32:
		return "i32"
	case reflect.Int, reflect.Int64:
		return "i64"
	case reflect.Float64:
		return "f64"
	case reflect.Struct:
		declare(t)
		return name(t)
	}
	panic(t.String())
}

func declare(t reflect.Type) {
	if _, known := lines[name(t)]; known {
		return
	}
	lines[name(t)] = ""
	lines[name(t)] = strings.Join(fields(t), " ")
}

func fields(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		field := t.Field(i)
		tag := strings.Split(field.Tag.Get("json"), ",")
		if tag[0] == "-" || !field.IsExported() {
			continue
		}
		if tag[0] == "" {
			all = append(all, fields(field.Type)...)
			continue
		}
		optional := ""
		for _, option := range tag[1:] {
			if option == "omitempty" && field.Type.Kind() != reflect.Struct || option == "omitzero" {
				optional = "?"
			}
		}
		all = append(all, tag[0]+optional+"="+shape(field.Type))
	}
	return all
}

func main() {
	var heads []string
	for version, objects := range kinds {
		for _, object := range objects {
			t := reflect.TypeOf(object)
			declare(t)
			heads = append(heads, version+" "+t.Name()+" "+name(t))
		}
	}
	sort.Strings(heads)
	for _, head := range heads {
		fmt.Println(head)
	}
	fmt.Println()
	var names []string
	for name := range lines {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(strings.TrimSpace(name + " " + lines[name]))
	}
}
