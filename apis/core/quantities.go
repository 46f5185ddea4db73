package core

import (
	"math"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
)

// maxQuantityExponent is the decimal exponent of the largest quantity, 2^63-1.
const maxQuantityExponent = 18

// capQuantities caps all quantities in a value at 2^63-1, as the documentation of
// resource.Quantity promises. Its parser caps only some forms, and comparing
// 1e999999999 with 1 would expand a billion digits. It also rounds the quantities of
// resource lists up to thousandths, as upstream's defaults do.
func capQuantities(value reflect.Value) {
	switch value.Kind() {
	case reflect.Struct:
		if value.CanAddr() {
			if quantity, ok := reflect.TypeAssert[*resource.Quantity](value.Addr()); ok {
				*quantity = capped(*quantity)
				return
			}
		}
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				capQuantities(value.Field(i))
			}
		}
	case reflect.Pointer:
		if !value.IsNil() {
			capQuantities(value.Elem())
		}
	case reflect.Slice:
		if mayHoldQuantities(value.Type().Elem()) {
			for i := range value.Len() {
				capQuantities(value.Index(i))
			}
		}
	case reflect.Map:
		if value.Type().Elem() != reflect.TypeFor[resource.Quantity]() {
			return
		}
		for _, key := range value.MapKeys() {
			quantity := capped(value.MapIndex(key).Interface().(resource.Quantity))
			quantity.RoundUp(resource.Milli)
			value.SetMapIndex(key, reflect.ValueOf(quantity))
		}
	}
}

func mayHoldQuantities(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer
}

func capped(quantity resource.Quantity) resource.Quantity {
	exact := quantity.DeepCopy()
	number := exact.AsDec()
	if -int64(number.Scale()) <= maxQuantityExponent {
		return quantity
	}
	return *resource.NewQuantity(int64(number.Sign())*math.MaxInt64, quantity.Format)
}
